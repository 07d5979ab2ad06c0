import { availableParallelism } from "node:os"
import { resolve } from "node:path"
import { defineConfig } from "vitest/config"
import packageJson from "./package.json" with { type: "json" }

/** The package by its own name, from its source: what examples import. */
const alias = Object.entries(packageJson.exports).flatMap(([entry, target]) =>
  typeof target === "string"
    ? []
    : [
        {
          find: new RegExp(`^${packageJson.name}${entry.slice(1)}$`),
          replacement: resolve(import.meta.dirname, target["orchestrator-source"])
        }
      ]
)

export default defineConfig({
  resolve: { alias },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // One PostgreSQL a run; each test file makes a database of its own in it.
    globalSetup: ["./test/support/postgres.setup.ts"],
    pool: "forks",
    // Most of a test's time is waiting, for PostgreSQL and for servers: one at a time is too few for two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
