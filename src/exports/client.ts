/** `substra-orchestrator/client`: every rpc of the contract as an effect, with typed errors and resuming streams. */
export type { CallOptions } from "../client/Calls.ts"
export { Client, connect, type OrchestratorClient } from "../client/Client.ts"
export * as ClientError from "../client/ClientError.ts"
export { type ClientOptions, InvalidClientOptions, type Pem, type TlsOptions } from "../client/ClientOptions.ts"
export type { Signal } from "../client/Events.ts"
export type { FinishedPlan } from "../client/Plans.ts"
/** The messages of the contract, with what encodes and decodes them. */
export * as Messages from "../layers/wire/generated/index.ts"
