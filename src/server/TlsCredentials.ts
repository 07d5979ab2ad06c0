/** TLS for the gRPC port, with certificates that can be exchanged while connections go on. */
import { ServerCredentials } from "@grpc/grpc-js"
import type { TlsFiles } from "../layers/tls/TlsFiles.ts"

/** A handshake that takes longer is ended: whoever opens connections and says nothing holds none for long. */
export const handshakeTimeoutMillis = 10_000

const contextOptions = (files: TlsFiles) => ({
  cert: files.certificate,
  key: files.key,
  ca: [...files.trusted],
  minVersion: "TLSv1.2" as const
})

export class TlsCredentials extends ServerCredentials {
  /** With `mutual`, clients must show a certificate of a trusted CA. */
  constructor(files: TlsFiles, mutual: boolean, handshakeTimeout = handshakeTimeoutMillis) {
    super(
      {
        requestCert: mutual,
        rejectUnauthorized: mutual,
        minVersion: "TLSv1.2",
        handshakeTimeout
      },
      contextOptions(files)
    )
  }

  /** New connections use these from now on; those that are open stay as they are. */
  update(files: TlsFiles): void {
    this.updateSecureContextOptions(contextOptions(files))
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }
}
