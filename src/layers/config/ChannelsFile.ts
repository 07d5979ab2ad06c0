/** The file of channels: YAML, channels by name, each with the ids of its organizations. */

import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ChannelMap } from "../../services/Channels.ts"
import { fileProblem } from "../FileProblem.ts"

/** What a development server knows when nobody says otherwise. */
export const developmentChannels: ChannelMap = new Map([
  ["mychannel", ["MyOrg1MSP", "MyOrg2MSP"]],
  ["yourchannel", ["MyOrg1MSP", "MyOrg2MSP"]]
])

const File = Schema.Struct({ channels: Schema.Record(Schema.String, Schema.Unknown) })
const decodeFile = Schema.decodeUnknownResult(File)

const example = "channels: { mychannel: [MyOrg1MSP, MyOrg2MSP] }"

/** A header's value: printable, and without the comma that would make it two. */
const usable = /^[\x21-\x2b\x2d-\x7e]+(?: [\x21-\x2b\x2d-\x7e]+)*$/

const organizationProblem = (id: unknown): ReadonlyArray<string> => {
  const shown = JSON.stringify(id)
  if (typeof id !== "string") return [`organization ${shown} must be text, in quotes where YAML takes it for another`]
  if (id.includes(" - ")) return [`organization ${shown} is a list whose lines are not all indented alike`]
  return usable.test(id) ? [] : [`organization ${shown} must be printable ASCII without commas`]
}

const channelProblems = (name: string, organizations: unknown): ReadonlyArray<string> => [
  ...(usable.test(name) ? [] : ["its name must be printable ASCII without commas"]),
  ...(organizations === null || (Array.isArray(organizations) && organizations.length === 0)
    ? ["it must have an organization"]
    : Array.isArray(organizations)
      ? organizations.flatMap(organizationProblem)
      : [`it must be a list of organizations, such as [MyOrg1MSP], not ${JSON.stringify(organizations)}`])
]

/** The channels in this text, or everything that is wrong with it. */
export const parse = (text: string): Result.Result<ChannelMap, ReadonlyArray<string>> => {
  const yaml = Result.try(() => Yaml.parse(text))
  if (Result.isFailure(yaml)) return Result.fail([`it is no YAML: ${(yaml.failure as Error).message}`])
  const file = decodeFile(yaml.success)
  if (Result.isFailure(file))
    return Result.fail([`it must hold channels with lists of organizations, such as ${example}`])
  if (Object.keys(file.success.channels).length === 0) return Result.fail(["it must hold a channel"])
  const entries = Object.entries(file.success.channels)
  const problems = entries.flatMap(([name, organizations]) =>
    channelProblems(name, organizations).map((problem) => `channel ${JSON.stringify(name)}: ${problem}`)
  )
  return problems.length > 0
    ? Result.fail(problems)
    : Result.succeed(new Map(entries as ReadonlyArray<[string, ReadonlyArray<string>]>))
}

/** The channels in this file, or everything that is wrong with it. */
export const read = (path: string): Effect.Effect<ChannelMap, ReadonlyArray<string>> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => [fileProblem(cause)]
  }).pipe(
    Effect.flatMap((text) => Effect.fromResult(parse(text))),
    Effect.mapError((problems) => problems.map((problem) => `${path}: ${problem}`))
  )
