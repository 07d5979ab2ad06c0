/**
 * The files of TLS: the server's certificate and key, its CA, and the CAs of the organizations, a folder each. They are
 * read and checked as a whole: what is wrong with any of them is told with its name, and nothing of it is used.
 */
import { createHash, type X509Certificate } from "node:crypto"
import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { fileProblem } from "../FileProblem.ts"
import { keyIdOf } from "./KeyIdentifier.ts"
import { certificatesIn, privateKeyIn, refusedByTls } from "./Pem.ts"

export interface TlsPaths {
  readonly certificate: string
  readonly key: string
  /** The server's own CA, trusted for clients too. */
  readonly serverCa: string | undefined
  /** One folder an organization, named by its id, with files of CA certificates. */
  readonly clientCaFolder: string | undefined
}

/** Those that a configuration names. */
export type NamedPaths = { readonly [File in keyof TlsPaths]: TlsPaths[File] | undefined }

/** A CA certificate and the file that holds it. */
export interface CaCertificate {
  readonly file: string
  readonly certificate: X509Certificate
  /** Its public key, to be compared. */
  readonly key: string
  readonly keyId: string | undefined
}

export interface TlsFiles {
  readonly certificate: Buffer
  /** The first of it, the server's own. */
  readonly own: X509Certificate
  /** The others of it, which lead from there to a CA that clients know. */
  readonly intermediates: ReadonlyArray<X509Certificate>
  readonly key: Buffer
  /** Every CA that a client's certificate may come from, as PEM. */
  readonly trusted: ReadonlyArray<string>
  /** The server's own, among them. */
  readonly serverCas: ReadonlyArray<CaCertificate>
  /** By organization. */
  readonly organizations: ReadonlyMap<string, ReadonlyArray<CaCertificate>>
  /** Changes when any of the files does. */
  readonly fingerprint: string
}

/** A problem with the variable that it belongs to. */
export interface Problem {
  readonly variable: string
  readonly why: string
}

/** What `use` makes of the file system, or puts down why that cannot be, and goes on without. */
const orPutDown = <A>(problems: Array<Problem>, problem: (error: unknown) => Problem, use: () => Promise<A>) =>
  Effect.catch(Effect.tryPromise({ try: use, catch: problem }), (found) =>
    Effect.sync((): A | undefined => {
      problems.push(found)
      return undefined
    })
  )

/** Reads a file, or puts down why it cannot be used. */
const using = <A>(
  problems: Array<Problem>,
  variable: string,
  path: string | undefined,
  use: (content: Buffer) => A
): Effect.Effect<A | undefined> =>
  path === undefined
    ? Effect.undefined
    : orPutDown(
        problems,
        (error) => ({ variable, why: `${path}: ${fileProblem(error)}` }),
        () => readFile(path).then(use)
      )

const folder = "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR"

/** What is in a folder, in order, or why it cannot be read. */
const namesIn = (problems: Array<Problem>, path: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    orPutDown(
      problems,
      (error) => ({ variable: folder, why: `${path}: ${fileProblem(error, "folder")}` }),
      () => readdir(path)
    ),
    (names = []) => names.sort()
  )

/** A link that leads nowhere is no folder: it is a file that cannot be read. */
const isFolder = (path: string): Effect.Effect<boolean> =>
  Effect.promise(() =>
    stat(path).then(
      (found) => found.isDirectory(),
      () => false
    )
  )

/** Files in the organizations' folders; links are followed, files beside the folders and folders inside are skipped. */
const readOrganizations = (problems: Array<Problem>, path: string): Effect.Effect<TlsFiles["organizations"]> =>
  Effect.gen(function* () {
    const organizations = new Map<string, ReadonlyArray<CaCertificate>>()
    for (const organization of yield* namesIn(problems, path)) {
      const inside = join(path, organization)
      // Mounted secrets keep their content in such folders, and link to it.
      if (organization.startsWith("..") || !(yield* isFolder(inside))) continue
      const known = problems.length
      const found: Array<CaCertificate> = []
      for (const name of yield* namesIn(problems, inside)) {
        const file = join(inside, name)
        if (!(yield* isFolder(file))) found.push(...(yield* readCas(problems, folder, file)))
      }
      if (found.length === 0 && problems.length === known) {
        problems.push({ variable: folder, why: `${inside}: it holds no CA certificate` })
      }
      organizations.set(organization, found)
    }
    return organizations
  })

/** All certificates of a file, each with a key that can be used and compared. */
const readCas = (
  problems: Array<Problem>,
  variable: string,
  file: string | undefined
): Effect.Effect<ReadonlyArray<CaCertificate>> =>
  Effect.map(
    using(problems, variable, file, (content) => certificatesIn(content).map((one) => caOf(file as string, one))),
    (found) => found ?? []
  )

const caOf = (file: string, certificate: X509Certificate): CaCertificate => ({
  file,
  certificate,
  key: certificate.publicKey.export({ type: "spki", format: "der" }).toString("base64"),
  keyId: keyIdOf(certificate)
})

/** Names that TLS takes for the same are the same here too: it minds neither case nor spaces. */
const looseSubject = ({ certificate }: CaCertificate): string =>
  (certificate.subject ?? "")
    .split(/\n| \+ /)
    .map((part) => part.toLowerCase().replace(/\\0[9a-d]|\\ |\s/g, ""))
    .sort()
    .join("\n")

/**
 * CAs of one subject with different keys that no key id tells apart: TLS takes whichever comes first, so that one
 * organization's could keep another's clients out, or pass for it. A CA without a key id is anybody's twin; beside
 * others of its own organization it may stay.
 */
const twins = (owners: ReadonlyArray<ReadonlyArray<CaCertificate>>): ReadonlyArray<Problem> => {
  const seen = new Map<string, Array<readonly [owner: number, ca: CaCertificate]>>()
  const problems: Array<Problem> = []
  for (const [owner, ca] of owners.flatMap((cas, owner) => cas.map((ca) => [owner, ca] as const))) {
    const subject = looseSubject(ca)
    const others = seen.get(subject) ?? []
    seen.set(subject, [...others, [owner, ca]])
    const twin = others.find(
      ([otherOwner, other]) =>
        ca.key !== other.key &&
        (ca.keyId === undefined || other.keyId === undefined ? owner !== otherOwner : ca.keyId === other.keyId)
    )
    if (twin === undefined) continue
    const why = `${ca.file} and ${twin[1].file} hold CAs of the same subject with different keys and no key ids that differ: one of them must go`
    problems.push({ variable: folder, why })
  }
  return problems
}

/** What there is to read, and all that is wrong with it. */
interface Found {
  /** Undefined where there are problems, or no certificate or key is named. */
  readonly files: TlsFiles | undefined
  readonly problems: ReadonlyArray<Problem>
}

const find = (paths: NamedPaths): Effect.Effect<Found> =>
  Effect.gen(function* () {
    const problems: Array<Problem> = []
    const certificates = yield* using(problems, "ORCHESTRATOR_TLS_CERT_PATH", paths.certificate, (content) => {
      const [own, ...intermediates] = certificatesIn(content)
      return { content, own: own as X509Certificate, intermediates }
    })
    const key = yield* using(problems, "ORCHESTRATOR_TLS_KEY_PATH", paths.key, (content) => {
      const privateKey = privateKeyIn(content)
      if (certificates?.own.checkPrivateKey(privateKey) === false)
        throw new Error(`it is not the key of the first certificate in ${paths.certificate}`)
      return content
    })
    const serverCas = yield* readCas(problems, "ORCHESTRATOR_TLS_SERVER_CA_CERT", paths.serverCa)
    const organizations: TlsFiles["organizations"] =
      paths.clientCaFolder === undefined ? new Map() : yield* readOrganizations(problems, paths.clientCaFolder)
    const owners = [serverCas, ...organizations.values()]
    problems.push(...twins(owners))
    const trusted = owners.flat().map((one) => one.certificate.toString())
    if (paths.clientCaFolder !== undefined && trusted.length === 0 && problems.length === 0) {
      problems.push({ variable: folder, why: `${paths.clientCaFolder}: it holds no folder of an organization` })
    }
    if (problems.length > 0 || certificates === undefined || key === undefined) return { files: undefined, problems }
    const { content: certificate, intermediates, own } = certificates
    const refused = refusedByTls({ cert: certificate, key, ca: [...trusted] })
    if (refused !== undefined) {
      const why = `TLS cannot use the certificates: ${refused}`
      return { files: undefined, problems: [{ variable: "ORCHESTRATOR_TLS_CERT_PATH", why }] }
    }
    const hash = createHash("sha256").update(certificate).update(key)
    for (const [organization, cas] of organizations) {
      hash.update(`\n${organization}`)
      for (const one of cas) hash.update(one.certificate.raw)
    }
    const fingerprint = hash.update(trusted.join("")).digest("hex")
    return {
      files: { certificate, own, intermediates, key, trusted, serverCas, organizations, fingerprint },
      problems
    }
  })

/** All files, or everything that is wrong with them. */
export const read = (paths: TlsPaths): Effect.Effect<TlsFiles, ReadonlyArray<Problem>> =>
  Effect.flatMap(find(paths), ({ files, problems }) =>
    files === undefined ? Effect.fail(problems) : Effect.succeed(files)
  )

/** What is wrong with the files that are named. */
export const check = (paths: NamedPaths): Effect.Effect<ReadonlyArray<Problem>> =>
  Effect.map(find(paths), ({ problems }) => problems)
