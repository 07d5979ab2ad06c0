/** The metrics of several processes as those of one server, in the text that Prometheus reads. */

interface Family {
  /** The lines above its series: what it means, and its type. */
  readonly head: Array<string>
  isGauge: boolean
  /** By name and labels. */
  readonly series: Map<string, number>
}

/** By name. */
export type Measured = ReadonlyMap<string, Readonly<Family>>

/** Of these the worst process speaks for the server, or all say the same; everything else adds up. */
const largestCounts = /^(nodejs_eventloop_lag_|orc_event_subscriber_lag$|orc_build_info$)/

const valueOf = (text: string): number => (text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text))

const textOf = (value: number): string => (value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value))

/** What a process measured: `# HELP` and `# TYPE` lines above the series of each name. */
export const parse = (text: string): Measured => {
  const families = new Map<string, Family>()
  let family: Family | undefined
  for (const line of text.split("\n")) {
    const [, name = "", type = ""] = /^# (?:HELP|TYPE) (\S+) ?(\S*)/.exec(line) ?? []
    if (name !== "") {
      family = families.get(name) ?? { head: [], isGauge: false, series: new Map() }
      families.set(name, family)
      family.head.push(line)
      if (line.startsWith("# TYPE ")) family.isGauge = type === "gauge"
    } else if (line !== "" && family !== undefined) {
      const end = line.lastIndexOf(" ")
      family.series.set(line.slice(0, end), valueOf(line.slice(end + 1)))
    }
  }
  return families
}

/** What stays true when the process has ended: what it counted, not how it was. */
export const counted = (measured: Measured): Measured => new Map([...measured].filter(([, { isGauge }]) => !isGauge))

export const merge = (all: Iterable<Measured>): Measured => {
  const families = new Map<string, Family>()
  for (const measured of all) {
    for (const [name, { head, isGauge, series }] of measured) {
      const combine = largestCounts.test(name) ? Math.max : (one: number, other: number) => one + other
      const merged = new Map(families.get(name)?.series)
      for (const [key, value] of series) {
        const before = merged.get(key)
        merged.set(key, before === undefined ? value : combine(before, value))
      }
      families.set(name, { head, isGauge, series: merged })
    }
  }
  return families
}

export const format = (measured: Measured): string =>
  [...measured.values()]
    .flatMap(({ head, series }) => [...head, ...[...series].map(([key, value]) => `${key} ${textOf(value)}`)])
    .map((line) => `${line}\n`)
    .join("")
