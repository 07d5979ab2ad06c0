/** What a scenario finds, as a table and as JSON. The ratios are the result: absolute figures are the machine's. */

export interface Row {
  readonly scenario: string
  readonly unit: string
  /** Units a second. */
  readonly rate?: number | undefined
  /** Milliseconds. */
  readonly p50?: number | undefined
  readonly p99?: number | undefined
  readonly max?: number | undefined
  /** CPU of the server and of PostgreSQL, microseconds a unit. */
  readonly serverCpu?: number | undefined
  readonly postgresCpu?: number | undefined
  /** Peak of the server's memory, MiB. */
  readonly peak?: number | undefined
  readonly floor?: string | undefined
  readonly ratio?: number | undefined
  /** What the ratio, or the figure that is named, should be: `>= 0.45`. */
  readonly goal?: string | undefined
  readonly note?: string | undefined
}

export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

export const quantile = (values: ReadonlyArray<number>, share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

const columns: ReadonlyArray<readonly [string, (row: Row) => string]> = [
  ["scenario", (row) => row.scenario],
  ["a second", (row) => (row.rate === undefined ? "" : `${short(row.rate)} ${row.unit}`)],
  ["p50 ms", (row) => short(row.p50)],
  ["p99 ms", (row) => short(row.p99)],
  ["max ms", (row) => short(row.max)],
  ["server µs", (row) => short(row.serverCpu)],
  ["PostgreSQL µs", (row) => short(row.postgresCpu)],
  ["peak MiB", (row) => short(row.peak)],
  ["floor", (row) => row.floor ?? ""],
  ["ratio", (row) => (row.ratio === undefined ? "" : row.ratio.toFixed(2))],
  ["goal", (row) => row.goal ?? ""],
  ["", (row) => row.note ?? ""]
]

const short = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value)
    ? ""
    : value >= 1000
      ? Math.round(value).toLocaleString("en")
      : value >= 10
        ? value.toFixed(0)
        : value.toFixed(value >= 1 ? 1 : 2)

/** A table in Markdown. */
export const table = (rows: ReadonlyArray<Row>): string => {
  const cells = [columns.map(([name]) => name), ...rows.map((row) => columns.map(([, cell]) => cell(row)))]
  const widths = columns.map((_, index) => Math.max(3, ...cells.map((line) => (line[index] as string).length)))
  const line = (values: ReadonlyArray<string>) =>
    `| ${values.map((value, index) => value.padEnd(widths[index] as number)).join(" | ")} |`
  const [head = [], ...body] = cells
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n")
}
