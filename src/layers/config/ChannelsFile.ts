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

const File = Schema.Struct({ channels: Schema.Record(Schema.String, Schema.Array(Schema.String)) })
const decodeFile = Schema.decodeUnknownResult(File)

const example = "channels: { mychannel: [MyOrg1MSP, MyOrg2MSP] }"

/** A header's value: printable, and without the comma that would make it two. */
const usable = /^[\x21-\x2b\x2d-\x7e]+(?: [\x21-\x2b\x2d-\x7e]+)*$/

const problemsOf = (channels: Readonly<Record<string, ReadonlyArray<string>>>): ReadonlyArray<string> =>
  Object.entries(channels).flatMap(([name, organizations]) => [
    ...(usable.test(name) ? [] : [`channel ${JSON.stringify(name)}: its name must be printable ASCII without commas`]),
    ...(organizations.length > 0 ? [] : [`channel ${JSON.stringify(name)}: it must have an organization`]),
    ...organizations
      .filter((id) => !usable.test(id))
      .map(
        (id) =>
          `channel ${JSON.stringify(name)}: organization ${JSON.stringify(id)} must be printable ASCII without commas`
      )
  ])

/** The channels in this text, or everything that is wrong with it. */
export const parse = (text: string): Result.Result<ChannelMap, ReadonlyArray<string>> => {
  const yaml = Result.try(() => Yaml.parse(text))
  if (Result.isFailure(yaml)) return Result.fail([`it is no YAML: ${(yaml.failure as Error).message}`])
  const file = decodeFile(yaml.success)
  if (Result.isFailure(file))
    return Result.fail([`it must hold channels with lists of organizations, such as ${example}`])
  if (Object.keys(file.success.channels).length === 0) return Result.fail(["it must hold a channel"])
  const problems = problemsOf(file.success.channels)
  return problems.length > 0 ? Result.fail(problems) : Result.succeed(new Map(Object.entries(file.success.channels)))
}

/** The channels in this file, or everything that is wrong with it. */
export const read = (path: string): Effect.Effect<Result.Result<ChannelMap, ReadonlyArray<string>>> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => [fileProblem(cause)]
  }).pipe(
    Effect.result,
    Effect.map((text) => Result.flatMap(text, parse)),
    Effect.map(Result.mapError((problems) => problems.map((problem) => `${path}: ${problem}`)))
  )
