/**
 * The files of TLS: the server's certificate and key, its CA, and the CAs of the organizations, a folder each. They are
 * read and checked as a whole: what is wrong with any of them is told with its name, and nothing of it is used.
 */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto"
import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"

export interface TlsPaths {
  readonly certificate: string
  readonly key: string
  /** The server's own CA, trusted for clients too. */
  readonly serverCa: string | undefined
  /** One folder an organization, named by its id, with files of CA certificates. */
  readonly clientCaFolder: string | undefined
}

/** A CA certificate and the file that holds it. */
export interface CaCertificate {
  readonly file: string
  readonly certificate: X509Certificate
}

export interface TlsFiles {
  readonly certificate: Buffer
  readonly key: Buffer
  /** Every CA that a client's certificate may come from, as PEM. */
  readonly trusted: ReadonlyArray<string>
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

class Problems extends Error {
  readonly problems: ReadonlyArray<Problem>
  constructor(problems: ReadonlyArray<Problem>) {
    super("TLS files cannot be used")
    this.problems = problems
  }
}

const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

const certificatesIn = (text: string): ReadonlyArray<X509Certificate> =>
  (text.match(pemBlock) ?? []).map((block) => new X509Certificate(block))

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Reads a file, or puts down why it cannot be used. */
const using = async <A>(
  problems: Array<Problem>,
  variable: string,
  path: string,
  use: (content: Buffer) => A
): Promise<A | undefined> => {
  try {
    return use(await readFile(path))
  } catch (error) {
    problems.push({ variable, why: `${path}: ${messageOf(error)}` })
    return undefined
  }
}

const nonEmpty = (certificates: ReadonlyArray<X509Certificate>): ReadonlyArray<X509Certificate> => {
  if (certificates.length === 0) throw new Error("it must hold PEM certificates")
  return certificates
}

const folder = "ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR"

/** Files in the organizations' folders; links are followed, files beside the folders and folders inside are skipped. */
const readOrganizations = async (
  path: string,
  problems: Array<Problem>
): Promise<ReadonlyMap<string, ReadonlyArray<CaCertificate>>> => {
  const organizations = new Map<string, ReadonlyArray<CaCertificate>>()
  const entries = await readdir(path).catch((error: unknown) => {
    problems.push({ variable: folder, why: `${path}: ${messageOf(error)}` })
    return []
  })
  for (const organization of entries.sort()) {
    const inside = join(path, organization)
    if (!(await isFolder(inside))) continue
    const found: Array<CaCertificate> = []
    for (const name of (await readdir(inside)).sort()) {
      const file = join(inside, name)
      if (await isFolder(file)) continue
      const certificates = await using(problems, folder, file, (content) =>
        nonEmpty(certificatesIn(content.toString()))
      )
      found.push(...(certificates ?? []).map((certificate) => ({ file, certificate })))
    }
    if (organization.startsWith("..")) continue
    if (found.length === 0) problems.push({ variable: folder, why: `${inside}: it holds no CA certificate` })
    organizations.set(organization, found)
  }
  return organizations
}

/** A link that leads nowhere is no folder: it is a file that cannot be read. */
const isFolder = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}

/**
 * Two CAs of one subject and key id with different keys: TLS takes whichever comes first, so that one organization's
 * could keep another's clients out, or pass for it.
 */
const twins = (all: ReadonlyArray<CaCertificate>): ReadonlyArray<Problem> => {
  const seen = new Map<string, CaCertificate>()
  const problems: Array<Problem> = []
  for (const one of all) {
    const name = `${one.certificate.subject}\n${keyIdOf(one.certificate)}`
    const other = seen.get(name)
    if (other === undefined) seen.set(name, one)
    else if (!publicKeyOf(one.certificate).equals(publicKeyOf(other.certificate))) {
      problems.push({
        variable: folder,
        why: `${one.file} and ${other.file} hold CAs of the same subject and key id with different keys: one of them must go`
      })
    }
  }
  return problems
}

const publicKeyOf = (certificate: X509Certificate): Buffer =>
  certificate.publicKey.export({ type: "spki", format: "der" })

/** OID 2.5.29.14, subjectKeyIdentifier, as it stands in DER, with the identifier behind it. */
const keyIdPrefix = Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x0e])

const keyIdOf = (certificate: X509Certificate): string => {
  const at = certificate.raw.indexOf(keyIdPrefix)
  if (at < 0) return ""
  // OCTET STRING holding an OCTET STRING.
  const outer = at + keyIdPrefix.length
  const length = certificate.raw[outer + 3] ?? 0
  return certificate.raw.subarray(outer + 4, outer + 4 + length).toString("hex")
}

const readAll = async (paths: TlsPaths): Promise<TlsFiles> => {
  const problems: Array<Problem> = []
  const certificate = await using(problems, "ORCHESTRATOR_TLS_CERT_PATH", paths.certificate, (content) => {
    nonEmpty(certificatesIn(content.toString()))
    return content
  })
  const key = await using(problems, "ORCHESTRATOR_TLS_KEY_PATH", paths.key, (content) => {
    const privateKey = createPrivateKey(content)
    const [own] = certificatesIn(certificate?.toString() ?? "")
    if (own?.checkPrivateKey(privateKey) === false) throw new Error(`it is not the key of ${paths.certificate}`)
    return content
  })
  const { serverCa } = paths
  const own =
    serverCa === undefined
      ? []
      : ((await using(problems, "ORCHESTRATOR_TLS_SERVER_CA_CERT", serverCa, (content) =>
          nonEmpty(certificatesIn(content.toString())).map(
            (one): CaCertificate => ({ file: serverCa, certificate: one })
          )
        )) ?? [])
  const organizations =
    paths.clientCaFolder === undefined ? new Map() : await readOrganizations(paths.clientCaFolder, problems)
  const all = [...own, ...[...organizations.values()].flat()]
  problems.push(...twins(all))
  if (problems.length > 0 || certificate === undefined || key === undefined) throw new Problems(problems)
  const trusted = all.map((one) => one.certificate.toString())
  const hash = createHash("sha256").update(certificate).update(key)
  for (const [organization, certificates] of organizations) {
    hash.update(`\n${organization}`)
    for (const one of certificates) hash.update(one.certificate.raw)
  }
  return { certificate, key, trusted, organizations, fingerprint: hash.update(trusted.join("")).digest("hex") }
}

/** All files, or everything that is wrong with them. */
export const read = (paths: TlsPaths): Effect.Effect<Result.Result<TlsFiles, ReadonlyArray<Problem>>> =>
  Effect.promise(() =>
    readAll(paths).then(
      (files): Result.Result<TlsFiles, ReadonlyArray<Problem>> => Result.succeed(files),
      (error: unknown) => {
        if (error instanceof Problems) return Result.fail(error.problems)
        throw error
      }
    )
  )
