/** `substra-orchestrator/client/promise`: the same client without Effect: promises and async iterables. */
export type { CallOptions } from "../client/Calls.ts"
export * as ClientError from "../client/ClientError.ts"
export { type ClientOptions, InvalidClientOptions, type Pem, type TlsOptions } from "../client/ClientOptions.ts"
export type { Signal } from "../client/Events.ts"
export type { FinishedPlan } from "../client/Plans.ts"
export { connect, type PromiseClient } from "../client/PromiseClient.ts"
export * as Messages from "../layers/wire/generated/index.ts"
