/** `substra-orchestrator/testing`: an orchestrator in memory, valid requests, and federated plans. */
export * as FederatedPlan from "../testing/FederatedPlan.ts"
export * from "../testing/Orchestrator.ts"
export * as Requests from "../testing/Requests.ts"
