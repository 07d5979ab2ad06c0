/**
 * Credentials for servers with TLS: the CA that the server's certificate comes from and, where clients must show who
 * they are, a certificate for each organization.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as grpc from "@grpc/grpc-js"

export interface Files {
  /** PEM of the server's CA. */
  readonly ca: string
  /** A folder for each organization, named by its id, with `tls.crt` and `tls.key`. */
  readonly certificates: string | undefined
}

/** By organization. Throws when a file cannot be read, or holds something else. */
export const credentials = (
  files: Files,
  organizations: ReadonlyArray<string>
): ReadonlyMap<string, grpc.ChannelCredentials> => {
  const ca = readFileSync(files.ca)
  const file = (organization: string, name: string) =>
    files.certificates === undefined ? null : readFileSync(join(files.certificates, organization, name))
  return new Map(
    organizations.map((id) => [id, grpc.credentials.createSsl(ca, file(id, "tls.key"), file(id, "tls.crt"))])
  )
}
