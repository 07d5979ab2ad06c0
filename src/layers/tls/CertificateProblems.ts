/** What is wrong with certificates that are well formed: otherwise it shows only when somebody is refused for it. */
import type { X509Certificate } from "node:crypto"
import type { ChannelMap } from "../../services/Channels.ts"
import type { TlsFiles } from "./TlsFiles.ts"

const serverAuthentication = "1.3.6.1.5.5.7.3.1"
const anyUsage = "2.5.29.37.0"

/** When it is not valid. */
export const periodProblem = (certificate: X509Certificate, now: number): string | undefined =>
  certificate.validFromDate.getTime() > now
    ? `not valid before ${certificate.validFrom}`
    : certificate.validToDate.getTime() < now
      ? `expired on ${certificate.validTo}: put a new one in its place`
      : undefined

/** Its subject, in a line. */
export const nameOf = ({ subject }: X509Certificate): string => (subject ?? "").replaceAll("\n", ", ")

/** Why clients would not take it for a server's. */
export const serverProblem = ({ keyUsage, subjectAltName }: X509Certificate): string | undefined => {
  const usages: ReadonlyArray<string> | undefined = keyUsage
  if (subjectAltName === undefined) return "it names no host as its subjectAltName: most clients refuse it"
  return usages === undefined || usages.includes(serverAuthentication) || usages.includes(anyUsage)
    ? undefined
    : "its extendedKeyUsage is not for servers: clients refuse it"
}

/** Why no client's certificate can come from it. */
export const caProblem = ({ ca }: X509Certificate): string | undefined =>
  ca ? undefined : "it is no CA's certificate (basicConstraints CA:TRUE): no client's certificate can come from it"

/** The organizations of the channels that no CA vouches for. It may come later. */
export const missingCas = (channels: ChannelMap, files: TlsFiles | undefined): ReadonlyArray<string> =>
  [...new Set([...channels.values()].flat())]
    .filter((organization) => files?.organizations.has(organization) !== true)
    .map(
      (organization) =>
        `organization "${organization}" has no folder in ORCHESTRATOR_TLS_CLIENT_CA_CERT_DIR: its calls are refused until it has one`
    )

/** All of it that is wrong with these files. */
export const certificateProblems = (files: TlsFiles, now: number): ReadonlyArray<string> => {
  const found: ReadonlyArray<readonly [what: string, problem: string | undefined]> = [
    ["the server's certificate", periodProblem(files.own, now)],
    ["the server's certificate", serverProblem(files.own)],
    ...files.intermediates.map(
      (one) => [`the server's certificate chain, ${nameOf(one)}`, periodProblem(one, now)] as const
    ),
    ...files.serverCas.map(({ certificate, file }) => [file, periodProblem(certificate, now)] as const),
    ...[...files.organizations.values()]
      .flat()
      .map(({ certificate, file }) => [file, periodProblem(certificate, now) ?? caProblem(certificate)] as const)
  ]
  return found.flatMap(([what, problem]) => (problem === undefined ? [] : [`${what}: ${problem}`]))
}
