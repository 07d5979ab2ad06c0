/** The other side of Children.ts: a program that gets ready for its job, says so, and works each time it is told to. */

export interface Prepared {
  /** Told to the process that measures once this one is ready. */
  readonly ready?: unknown
  readonly work: () => Promise<unknown>
}

export const runAs = async <Job>(prepare: (job: Job) => Promise<Prepared>): Promise<void> => {
  const job = await new Promise<string>((resolve) => process.once("message", resolve as (message: unknown) => void))
  const { ready, work } = await prepare(JSON.parse(job) as Job)
  process.on("message", async () => {
    process.send?.((await work()) ?? null)
  })
  process.on("disconnect", () => process.exit(0))
  process.send?.(ready ?? null)
}

/** Keeps `width` of these going until `count` have been made; says how long each took, in milliseconds. */
export const inParallel = async (
  width: number,
  count: number,
  make: (index: number, worker: number) => Promise<unknown>
): Promise<{ readonly seconds: number; readonly millis: ReadonlyArray<number> }> => {
  const millis: Array<number> = []
  let next = 0
  const begun = performance.now()
  const worker = async (_: unknown, which: number) => {
    while (next < count) {
      const index = next++
      const start = performance.now()
      await make(index, which)
      millis.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  return { seconds: (performance.now() - begun) / 1000, millis }
}
