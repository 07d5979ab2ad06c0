/** The plans of the statements that PostgreSQL has run, by its own log (auto_explain). */

/** One node of a plan, as PostgreSQL prints it. */
interface Node {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Actual Rows"?: number
  readonly "Actual Loops"?: number
  readonly "Rows Removed by Filter"?: number
  readonly "Rows Removed by Index Recheck"?: number
  readonly "Shared Hit Blocks"?: number
  readonly "Shared Read Blocks"?: number
  readonly Plans?: ReadonlyArray<Node>
}

export interface Ran {
  readonly text: string
  readonly millis: number
  /** Pages of tables and indexes that it looked at. */
  readonly pages: number
  /** Tables that it read from one end to the other. */
  readonly scanned: ReadonlyArray<string>
  /** The most rows that it sorted. */
  readonly sorted: number
  /** The most rows that it read in one place and did not want. */
  readonly unwanted: number
}

/** For the database `orchestrator`: connections that begin after this log every statement with its plan. */
export const logging: ReadonlyArray<string> = [
  "session_preload_libraries = 'auto_explain'",
  "auto_explain.log_min_duration = '0'",
  "auto_explain.log_analyze = 'on'",
  "auto_explain.log_buffers = 'on'",
  "auto_explain.log_timing = 'off'",
  "auto_explain.log_nested_statements = 'on'",
  "auto_explain.log_format = 'json'",
  "auto_explain.log_parameter_max_length = '0'"
].map((setting) => `ALTER DATABASE orchestrator SET ${setting}`)

const nodes = (node: Node): ReadonlyArray<Node> => [node, ...(node.Plans ?? []).flatMap(nodes)]

const most = (values: ReadonlyArray<number>): number => values.reduce((one, other) => Math.max(one, other), 0)

const isScan = (node: Node): boolean => node["Node Type"] === "Seq Scan"

/** Of the part of the log that holds them. */
export const parse = (log: string): ReadonlyArray<Ran> =>
  [...log.matchAll(/duration: ([\d.]+) ms {2}plan:\n\t?(\{[\s\S]*?\n\t?\})/g)].map(([, millis, json = ""]) => {
    const { Plan: root, "Query Text": text } = JSON.parse(json.replace(/\n\t/g, "\n")) as {
      readonly "Query Text": string
      readonly Plan: Node
    }
    const all = nodes(root)
    return {
      text: text.replace(/\s+/g, " ").trim(),
      millis: Number(millis),
      pages: (root["Shared Hit Blocks"] ?? 0) + (root["Shared Read Blocks"] ?? 0),
      scanned: all.filter(isScan).map((node) => node["Relation Name"] ?? ""),
      sorted: most(all.filter((node) => node["Node Type"].endsWith("Sort")).map((node) => node["Actual Rows"] ?? 0)),
      unwanted: most(
        all.map((node) => (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0))
      )
    }
  })

/** The worst of each statement, the most pages first. */
export const worst = (ran: ReadonlyArray<Ran>): ReadonlyArray<Ran & { readonly times: number }> => {
  const byText = new Map<string, Ran & { readonly times: number }>()
  for (const one of ran) {
    const before = byText.get(one.text)
    if (before === undefined) byText.set(one.text, { ...one, times: 1 })
    else {
      byText.set(one.text, {
        text: one.text,
        times: before.times + 1,
        millis: Math.max(before.millis, one.millis),
        pages: Math.max(before.pages, one.pages),
        scanned: [...new Set([...before.scanned, ...one.scanned])],
        sorted: Math.max(before.sorted, one.sorted),
        unwanted: Math.max(before.unwanted, one.unwanted)
      })
    }
  }
  return [...byText.values()].toSorted((a, b) => b.pages - a.pages)
}
