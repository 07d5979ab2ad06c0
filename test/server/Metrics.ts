/** What /metrics says, in Prometheus' text format, read strictly. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Exposition {
  /** counter, gauge, histogram, …, by metric. */
  readonly types: ReadonlyMap<string, string>
  readonly samples: ReadonlyArray<Sample>
}

const sampleLine = /^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="[^"]*",?)*)\})? (\S+)$/

const sample = (line: string): Sample => {
  const match = sampleLine.exec(line)
  if (match === null) throw new Error(`no line of the format: ${line}`)
  const [, name = "", labels = "", value] = match
  const pairs = Array.from(labels.matchAll(/([a-z_]+)="([^"]*)"/g), ([, label = "", text = ""]) => [label, text])
  return { name, labels: Object.fromEntries(pairs), value: Number(value) }
}

/** Each metric has one type and one help, before its samples. */
export const parse = (text: string): Exposition => {
  const types = new Map<string, string>()
  const samples: Array<Sample> = []
  for (const line of text.trimEnd().split("\n")) {
    const [, name = "", type = ""] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (line.startsWith("# HELP ")) continue
    if (name === "") samples.push(sample(line))
    else if (types.has(name)) throw new Error(`${name} is described twice`)
    else types.set(name, type)
  }
  return { types, samples }
}

const fits = (labels: Sample["labels"], asked: Sample["labels"]): boolean =>
  Object.entries(asked).every(([label, value]) => labels[label] === value)

/** The sum of the samples of this name that have these labels. */
export const sum = ({ samples }: Exposition, name: string, labels: Sample["labels"] = {}): number =>
  samples.filter((one) => one.name === name && fits(one.labels, labels)).reduce((total, { value }) => total + value, 0)

/** Values of this metric by one of its labels, where the others are these. */
export const by = (
  { samples }: Exposition,
  name: string,
  label: string,
  labels: Sample["labels"] = {}
): Readonly<Record<string, number>> =>
  Object.fromEntries(
    samples
      .filter((one) => one.name === name && fits(one.labels, labels))
      .map((one) => [one.labels[label] ?? "", one.value])
  )
