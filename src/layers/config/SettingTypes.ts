/** How a setting is read from its text: the forms that deployments write today. Each says why it refuses a text. */

import { isIP } from "node:net"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

/** What a text means, or why it means nothing. */
export type Parse<A> = (text: string) => Result.Result<A, string>

/** One variable: how it is read, what it is when unset, and what it is for. */
export interface Setting<A> {
  readonly parse: Parse<A>
  readonly type: string
  /** As `--help` shows it. */
  readonly standard: string
  readonly value: A
  readonly meaning: string
}

export const setting = <A>(
  [type, parse]: readonly [string, Parse<A>],
  value: A,
  standard: string,
  meaning: string
): Setting<A> => ({ parse, type, standard, value, meaning })

/** `given` is shown, where it may be. */
const refuse = (why: string, given?: string) =>
  Result.fail(
    given === undefined ? why : `${why}, not ${JSON.stringify(given.length > 60 ? `${given.slice(0, 60)}…` : given)}`
  )

const trueWords = ["1", "t", "T", "TRUE", "true", "True"]
const falseWords = ["0", "f", "F", "FALSE", "false", "False"]

export const bool: readonly [string, Parse<boolean>] = [
  "bool",
  (text) =>
    trueWords.includes(text)
      ? Result.succeed(true)
      : falseWords.includes(text)
        ? Result.succeed(false)
        : refuse("it must be true or false (also 1, t, T, TRUE, True; 0, f, F, FALSE, False)", text)
]

export const integer = (min: number, max: number): readonly [string, Parse<number>] => [
  "integer",
  (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    return value >= min && value <= max
      ? Result.succeed(value)
      : refuse(`it must be a whole number from ${min} to ${max}`, text)
  }
]

export const port = integer(0, 65_535)

const unitMillis: Record<string, number> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
  ns: 0.000001
}
const durationPart = /(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)/g
const durationText = /^(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|µs|ns))+)$/

/** Durations as Go writes them. */
export const duration: readonly [string, Parse<Duration.Duration>] = [
  "duration",
  (text) => {
    if (!durationText.test(text)) return refuse("it must be a duration such as 300ms, 1.5s or 1m30s", text)
    let millis = 0
    for (const [, amount, unit] of text.matchAll(durationPart)) millis += Number(amount) * (unitMillis[unit ?? ""] ?? 0)
    return Result.succeed(Duration.millis(millis))
  }
]

export const path: readonly [string, Parse<string | undefined>] = [
  "path",
  (text) => (text.includes("\0") ? refuse("it must be a path") : Result.succeed(text))
]

export const text: readonly [string, Parse<string | undefined>] = ["text", (given) => Result.succeed(given)]

export const ipAddress: readonly [string, Parse<string | undefined>] = [
  "IP address",
  (text) =>
    isIP(text) === 0 ? refuse("it must be an IP address, such as 127.0.0.1, 0.0.0.0 or ::", text) : Result.succeed(text)
]

const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

/** A PostgreSQL URL. It may hold a password: it is shown nowhere, not even in the reason why it is refused. */
export const databaseUrl: readonly [string, Parse<Redacted.Redacted | undefined>] = [
  "PostgreSQL URL",
  (text) => {
    const url = URL.parse(text)
    if (url === null || (url.protocol !== "postgres:" && url.protocol !== "postgresql:")) {
      return refuse("it must be a URL of the form postgresql://user:password@host:5432/database?sslmode=verify-full")
    }
    // What follows the first @ or / of a password that is not encoded would be taken for a host, and be told as one.
    if (url.pathname.includes("@") || url.hash.includes("@")) {
      return refuse("user and password must be percent-encoded: there @ : / ? # and % are %40 %3A %2F %3F %23 and %25")
    }
    return sslModes.includes(url.searchParams.get("sslmode") ?? "prefer")
      ? Result.succeed(Redacted.make(text))
      : refuse(`its sslmode must be one of ${sslModes.join(", ")}`)
  }
]

export const logLevels = ["DEBUG", "INFO", "NOTICE", "WARN", "ERROR"] as const
export type LogLevel = (typeof logLevels)[number]

export const logLevel: readonly [string, Parse<LogLevel>] = [
  "level",
  (text) => {
    const level = logLevels.find((one) => one === text.toUpperCase())
    return level === undefined ? refuse(`it must be one of ${logLevels.join(", ")}`, text) : Result.succeed(level)
  }
]

/** A duration that must not be shorter. */
export const durationFrom = (least: Duration.Duration): readonly [string, Parse<Duration.Duration>] => [
  "duration",
  (text) => {
    const [, parse] = duration
    const parsed = parse(text)
    return Result.isSuccess(parsed) && Duration.isLessThan(parsed.success, least)
      ? refuse(`it must be ${Duration.format(least)} at least`, text)
      : parsed
  }
]

/** One of these words. */
export const word = <const Words extends ReadonlyArray<string>>(
  words: Words
): readonly [string, Parse<Words[number]>] => [
  "word",
  (text) => (words.includes(text) ? Result.succeed(text) : refuse(`it must be one of ${words.join(", ")}`, text))
]

export const ratio: readonly [string, Parse<number>] = [
  "number",
  (text) => {
    const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN
    return value <= 1 ? Result.succeed(value) : refuse("it must be a number from 0 to 1, such as 0.1", text)
  }
]

export const httpUrl: readonly [string, Parse<string | undefined>] = [
  "URL",
  (text) => {
    const protocol = URL.parse(text)?.protocol
    return protocol === "http:" || protocol === "https:"
      ? Result.succeed(text)
      : refuse("it must be a URL such as http://collector:4318")
  }
]

export type Pairs = ReadonlyArray<readonly [name: string, value: string]>

/** `name=value,name=value` with values that are percent-encoded, as OpenTelemetry writes lists. */
export const pairs: readonly [string, Parse<Pairs>] = [
  "list",
  (text) => {
    const parts = text.split(",").map((part) => /^\s*([^=\s]+)\s*=(.*)$/s.exec(part))
    try {
      const found = parts.map((part) =>
        part === null ? undefined : ([part[1] ?? "", decodeURIComponent((part[2] ?? "").trim())] as const)
      )
      if (found.every((pair) => pair !== undefined)) return Result.succeed(found)
    } catch {}
    return refuse("it must be a list of the form name=value,name=value with percent-encoded values")
  }
]

/** The same, of values that are shown nowhere. */
export const secretPairs: readonly [string, Parse<Redacted.Redacted<Pairs>>] = [
  "list",
  (text) => Result.map(pairs[1](text), (found) => Redacted.make(found))
]
