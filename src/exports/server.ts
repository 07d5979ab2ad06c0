/**
 * `substra-orchestrator/server`: the contract over gRPC. `App.start` is the whole program from its configuration,
 * `Server.layer` a server of parts that you choose, `Rpc` what a service beside the thirteen is made of.
 */
export { ServerCredentials } from "@grpc/grpc-js"
export * as AppConfig from "../layers/config/AppConfig.ts"
export * as App from "../server/App.ts"
export { databaseReadiness } from "../server/HttpServer.ts"
export { contractServices } from "../server/handlers/index.ts"
export { ListenError } from "../server/Ports.ts"
export * as Rpc from "../server/Rpc.ts"
export * as Server from "../server/Server.ts"
