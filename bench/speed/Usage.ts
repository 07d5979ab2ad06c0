/** What processes use, from /proc: CPU in microseconds, memory in MiB. Only Linux has it; elsewhere figures are left out. */
import * as fs from "node:fs"

const tickMicros = 10_000

/** The fields of /proc/PID/stat behind the name, which may hold blanks and brackets. */
const stat = (pid: number): ReadonlyArray<string> | undefined => {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    return text.slice(text.lastIndexOf(")") + 2).split(" ")
  } catch {
    return undefined
  }
}

const ticks = (fields: ReadonlyArray<string> | undefined, from: number, to: number): number =>
  (fields ?? []).slice(from, to).reduce((sum, field) => sum + Number(field), 0)

/** User and system time of a process so far, in microseconds. */
export const cpuOf = (pid: number): number => ticks(stat(pid), 11, 13) * tickMicros

/** That of a process and its children, those that have ended too. */
export const cpuOfFamily = (pid: number): number => {
  const children = fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && stat(Number(name))?.[1] === String(pid))
  const living = children.reduce((sum, child) => sum + cpuOf(Number(child)), 0)
  return ticks(stat(pid), 11, 15) * tickMicros + living
}

const statusMiB = (pid: number, name: string): number => {
  try {
    const text = fs.readFileSync(`/proc/${pid}/status`, "utf8")
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN) / 1024
  } catch {
    return Number.NaN
  }
}

/** Resident memory now. */
export const memoryOf = (pid: number): number => statusMiB(pid, "VmRSS")

/** The most resident memory since the last call of `resetPeak`. */
export const peakOf = (pid: number): number => statusMiB(pid, "VmHWM")

export const resetPeak = (pid: number): void => {
  try {
    fs.writeFileSync(`/proc/${pid}/clear_refs`, "5")
  } catch {
    // Not Linux: there is no peak to reset.
  }
}

export const isMeasurable = fs.existsSync("/proc/self/stat")
