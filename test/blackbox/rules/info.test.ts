import { describe, expect, it } from "vitest"
import packageJson from "../../../package.json" with { type: "json" }
import { startServer } from "../Server.ts"

const { foreign, one } = await startServer()

describe("QueryVersion", () => {
  it("tells the version of the server", async () => {
    const { orchestrator } = await one.queryVersion()
    expect(orchestrator).toEqual(foreign ? expect.any(String) : packageJson.version)
  })
})
