/**
 * Runs a program to its end and collects what it printed. As root it can run as another user.
 */

import { execFile } from "node:child_process"
import * as Effect from "effect/Effect"

export interface ServerUser {
  readonly uid: number
  readonly gid: number
}

export interface Finished {
  readonly ok: boolean
  readonly stdout: string
  /** What explains a failure: standard error and output, or why the program could not be started. */
  readonly report: string
}

/** A service's PATH need not have `useradd`. */
const systemPath = "/usr/sbin:/usr/bin:/sbin:/bin"

/** PG* variables of the caller's shell would change what the binaries do; the locale decides nothing but messages. */
export const environment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.toUpperCase().startsWith("PG"))),
  ...(process.platform === "win32" ? {} : { PATH: `${process.env.PATH ?? ""}:${systemPath}` }),
  LC_ALL: "C"
})

export const run = (
  program: string,
  args: ReadonlyArray<string>,
  options: { readonly user?: ServerUser | undefined; readonly cwd?: string; readonly input?: string } = {}
): Effect.Effect<Finished> =>
  Effect.callback((resume, signal) => {
    const { user, cwd, input } = options
    const done = (error: Error | null, stdout: string, stderr: string) => {
      const report = [stderr.trim(), stdout.trim(), error?.message ?? ""].find((text) => text !== "") ?? ""
      resume(Effect.succeed({ ok: error === null, stdout, report }))
    }
    const settings = { env: environment(), signal, windowsHide: true, ...user, ...(cwd === undefined ? {} : { cwd }) }
    try {
      const child = execFile(program, args, settings, done)
      child.stdin?.on("error", () => {}) // the program may end without reading; its exit code tells
      child.stdin?.end(input ?? "")
      // An interruption kills it; what it writes until it has ended is not to come after that.
      return Effect.callback<void>((ended) => {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) ended(Effect.void)
        else child.once("exit", () => ended(Effect.void))
      })
    } catch (cause) {
      done(cause instanceof Error ? cause : new Error(String(cause)), "", "")
      return undefined
    }
  })

export const lastLines = (text: string, count = 10): string => text.trim().split("\n").slice(-count).join("\n")
