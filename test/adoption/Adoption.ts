/** The command in this process, and what it prints. */
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Table } from "../../src/schema/Adoption.ts"
import * as Command from "../../src/server/cli/Adopt.ts"
import { folder } from "../server/Program.ts"

export interface Options {
  readonly from: string
  readonly target: string
  readonly channels?: ReadonlyArray<string>
  readonly dryRun?: boolean
  readonly skipInvalid?: ReadonlyArray<Table>
  readonly invalidFile?: string
}

export interface Outcome {
  /** Why it failed, if it did. */
  readonly failure: string | undefined
  readonly stdout: string
  readonly stderr: string
  readonly invalidFile: string
}

const configured = new Map([
  ["mychannel", []],
  ["yourchannel", []]
]) as never

type Given = Omit<Command.AdoptOptions, "dryRun">

const outcomeOf = async (
  command: (given: Given) => Effect.Effect<void, { readonly message: string }>,
  options: Options
): Promise<Outcome> => {
  const printed = { stdout: "", stderr: "" }
  const print = (where: keyof typeof printed) => (line: string) => {
    printed[where] += `${line}\n`
  }
  const invalidFile = options.invalidFile ?? join(await folder(), `${randomBytes(4).toString("hex")}.jsonl`)
  const exit = await Effect.runPromiseExit(
    Effect.result(
      command({
        from: Redacted.make(options.from),
        target: Redacted.make(options.target),
        configured,
        channels: options.channels ?? [],
        skipInvalid: options.skipInvalid ?? [],
        invalidFile
      })
    ).pipe(Effect.provideService(Console.Console, { ...console, log: print("stdout"), error: print("stderr") }))
  )
  if (Exit.isFailure(exit)) throw new Error(`it died: ${exit.cause}`)
  return {
    failure: Result.isFailure(exit.value) ? exit.value.failure.message : undefined,
    ...printed,
    invalidFile
  }
}

export const adopt = ({ dryRun = false, ...options }: Options): Promise<Outcome> =>
  outcomeOf((given) => Command.adopt({ ...given, dryRun }), options)
export const verify = (options: Options): Promise<Outcome> => outcomeOf(Command.verify, options)
