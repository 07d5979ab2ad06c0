/** `substra-orchestrator/memory`: the store in memory, complete, and gone with its layer. */
export * as MemoryStore from "../layers/memory/MemoryStore.ts"
