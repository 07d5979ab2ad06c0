/** Organizations: once on each channel, all of them listed. */
import { describe, expect, it } from "vitest"
import * as Recording from "../Recording.ts"
import { refused } from "../Refusals.ts"
import { startServer } from "../Server.ts"

const { elsewhere, one, two } = await startServer()

describe("organizations", () => {
  it("are registered once on each channel, and all are listed by creation date", async () => {
    await refused(one.registerOrganization(), "OE0006", `organization with key "${one.id}" already exists`)
    for (const reader of [one, elsewhere]) {
      const { organizations } = await reader.getAllOrganizations()
      expect(organizations.map(({ id }) => id).sort()).toEqual([one.id, two.id])
      const dates = organizations.map(
        ({ creationDate: date }) => (date?.seconds ?? 0n) * 10n ** 9n + BigInt(date?.nanos ?? 0)
      )
      expect(dates).toEqual(dates.toSorted((x, y) => Number(x - y)))
      const [event] = await Recording.eventsOf(reader, one.id)
      expect(event?.asset?.value).toEqual(organizations.find(({ id }) => id === one.id))
    }
  })
})
