/**
 * What the processes of one server tell each other, over the channel that Node keeps between them. The primary owns the
 * database, the ports and the signals; its workers serve.
 */

/** What a worker can be asked, and answers with a text. */
export type Question =
  /** Why it is not ready; empty when it is. */
  | "readiness"
  /** Its metrics, as Prometheus reads them. */
  | "metrics"

/** From the primary. */
export type Order =
  | {
      readonly kind: "serve"
      /** From 1 up: which of them it is, whichever process that is. */
      readonly worker: number
      readonly database: { readonly url: string; readonly dataDir: string | undefined }
    }
  | { readonly kind: "ask"; readonly id: number; readonly question: Question }
  | { readonly kind: "drain" }

/** From a worker. */
export type Report =
  | { readonly kind: "serving"; readonly grpcPort: number }
  /** It cannot start, and ends. */
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "answer"; readonly id: number; readonly text: string }
