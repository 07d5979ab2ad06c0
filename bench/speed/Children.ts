/** Processes beside the one that measures: load generators, floors. Each gets ready, then works when it is told to. */
import { type ChildProcess, fork } from "node:child_process"
import * as path from "node:path"

export class Child<Result> {
  readonly pid: number
  /** What it said when it was ready. */
  readonly ready: unknown
  private readonly process: ChildProcess

  private constructor(child: ChildProcess, ready: unknown) {
    this.pid = child.pid as number
    this.ready = ready
    this.process = child
  }

  /** Starts a program of children/ with its job, and waits until it is ready. */
  static async start<Result>(program: string, job: unknown): Promise<Child<Result>> {
    const child = fork(path.join(import.meta.dirname, "children", program), [], {
      execArgv: ["--max-semi-space-size=16"],
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    child.send(JSON.stringify(job))
    return new Child<Result>(child, await next(child))
  }

  /** Lets it work, and waits for what it found. */
  go(): Promise<Result> {
    this.process.send("go")
    return next(this.process) as Promise<Result>
  }

  async end(): Promise<void> {
    if (this.process.exitCode !== null) return
    const ended = new Promise((resolve) => this.process.once("exit", resolve))
    this.process.disconnect()
    await ended
  }
}

const next = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`a process of the bench ended with ${code}`))
    child.once("exit", onExit)
    child.once("message", (message) => {
      child.off("exit", onExit)
      resolve(message)
    })
  })

/** Runs a job from its start to its end. */
export const runChild = async <Result>(program: string, job: unknown): Promise<Result> => {
  const child = await Child.start<Result>(program, job)
  const result = await child.go()
  await child.end()
  return result
}
