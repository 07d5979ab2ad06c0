/** `serve --memory`: the whole server without a database, for tests in any language. */
import { expect, it } from "vitest"
import * as Build from "../blackbox/Builders.ts"
import { client } from "../blackbox/Client.ts"
import * as Program from "./Program.ts"

it("serve --memory says that nothing is kept, serves, and has forgotten everything when it starts again", async () => {
  const plan = Build.newPlan()
  for (const round of [1, 2]) {
    const program = Program.run(Program.freePorts, "serve", "--memory")
    const [, address = ""] = await program.prints(/gRPC +(\S+)\n/)
    await program.prints(/data +in memory: nothing is kept/)
    const one = client(address, { mspid: "MyOrg1MSP", channel: "mychannel" })
    expect((await one.registerPlan(plan)).key, `in round ${round}`).toBe(plan.key)
    one.close()
    program.process.kill("SIGTERM")
    expect((await program.exited).code).toBe(0)
  }
})

it("serve --memory passes over no database that was named", async () => {
  const env = await Program.envOf({ url: "postgresql://nobody@localhost/nothing" })
  const { code, stderr } = await Program.run({ ...Program.freePorts, ...env }, "serve", "--memory").exited
  expect(code).toBe(1)
  expect(stderr).toMatch(/leave out ORCHESTRATOR_DATABASE_URL/)
})
