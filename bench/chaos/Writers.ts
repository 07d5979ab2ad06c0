/** Writers of every kind of call, by both organizations, through any server. */
import { randomUUID } from "node:crypto"
import * as build from "../../test/blackbox/Builders.ts"
import { CallError } from "../../test/blackbox/CallError.ts"
import { type Client, client } from "../../test/blackbox/Client.ts"
import { type Call, outcomeOf } from "./Calls.ts"
import { type Random, sleep } from "./Random.ts"

export const channels = ["mychannel", "yourchannel"] as const
export const organizations = ["MyOrg1MSP", "MyOrg2MSP"] as const
type Organization = (typeof organizations)[number]

interface Owned {
  readonly key: string
  readonly owner: Organization
}

interface Task extends Owned {
  readonly worker: Organization
}

/** What is known to be there, the newest: calls are made about these. */
class Known {
  readonly functions: Array<ReturnType<typeof build.newFunction> & Owned> = []
  readonly plans: Array<Owned> = []
  readonly managers: Array<Owned> = []
  readonly samples: Array<Owned> = []
  readonly tasks: Array<Task> = []
}

const remember = <A>(list: Array<A>, ...items: ReadonlyArray<A>): void => {
  list.push(...items)
  if (list.length > 60) list.splice(0, list.length - 60)
}

const options = { timeout: 8_000 }

export class Writers {
  readonly calls: Array<Call> = []
  /** What is neither an answer nor a refusal, by its text. */
  readonly troubles = new Map<string, number>()
  private readonly known = new Map(channels.map((channel) => [channel, new Known()]))
  private readonly clients = new Map<string, Client>()
  private readonly addresses: ReadonlyArray<string>
  private readonly random: Random
  private over = false

  constructor(addresses: ReadonlyArray<string>, random: Random) {
    this.addresses = addresses
    this.random = random
  }

  private async attempt(by: Organization, channel: string, make: (client: Client) => Promise<unknown>) {
    const id = `${this.random.pick(this.addresses)} ${by} ${channel}`
    const [address = ""] = id.split(" ")
    const made = this.clients.get(id) ?? client(address, { mspid: by, channel })
    this.clients.set(id, made)
    try {
      await make(made)
      return undefined
    } catch (error) {
      if (!(error instanceof CallError)) throw error
      if (outcomeOf(error) === "in doubt") {
        const text = `${error.code}: ${error.details.slice(0, 60)}`
        this.troubles.set(text, (this.troubles.get(text) ?? 0) + 1)
        // A new connection is tried at once, the old one would wait longer each time.
        if (this.clients.get(id) === made) this.clients.delete(id)
        setTimeout(() => made.close(), options.timeout).unref()
      }
      return error
    }
  }

  /** Makes a call; one in doubt whose marks are its own is made again, like a client would. Says whether it stands. */
  private async call(
    rpc: string,
    by: Organization,
    channel: string,
    marks: ReadonlyArray<string>,
    isOnly: boolean,
    make: (client: Client) => Promise<unknown>
  ): Promise<boolean> {
    const call: Call = { rpc, channel, marks, isOnly, outcome: "in doubt" }
    this.calls.push(call)
    let doubted = false
    for (let run = 0; run < 10; run++) {
      const error = await this.attempt(by, channel, make)
      call.outcome = error === undefined ? "acknowledged" : outcomeOf(error)
      // What is there already is that of the run before, unless it is another model on the same output.
      if (doubted && error !== undefined && call.outcome === "refused") {
        const isThere = error.code === "ALREADY_EXISTS" && !error.details.includes("unique output")
        call.outcome = isThere ? "acknowledged" : "in doubt"
      }
      if (call.outcome !== "in doubt" || !isOnly || this.over) break
      doubted = true
      await sleep(200)
    }
    return call.outcome === "acknowledged"
  }

  async registerOrganizations(): Promise<void> {
    for (const channel of channels) {
      for (const by of organizations) {
        await this.call("RegisterOrganization", by, channel, [`organization ${by}`], true, (to) =>
          to.registerOrganization({}, options)
        )
      }
    }
  }

  async run(pause: number): Promise<void> {
    while (!this.over) {
      const channel = this.random.pick(channels)
      await this.step(channel, this.known.get(channel) as Known, this.random.pick(organizations))
      await sleep(this.random.below(2 * pause))
    }
  }

  end(): void {
    this.over = true
  }

  close(): void {
    for (const made of this.clients.values()) made.close()
  }

  private async step(channel: string, known: Known, by: Organization): Promise<void> {
    const { functions, managers, plans, samples, tasks } = known
    const { random } = this
    const dice = random.below(100)
    const token = randomUUID()
    const fn = random.pick(functions)
    const plan = random.pick(plans)
    const manager = random.pick(managers)
    if (dice < 4 || fn === undefined) {
      const made = build.newFunction({ outputs: { out: build.model, score: build.performance } })
      if (
        await this.call("RegisterFunction", by, channel, [`function ${made.key}`], true, (to) =>
          to.registerFunction(made, options)
        )
      ) {
        remember(functions, { ...made, owner: by })
        if (random.below(3) > 0)
          for (const move of ["BUILDING", "READY"] as const) await this.moveFunction(channel, made, by, move)
      }
    } else if (dice < 12) return this.moveFunction(channel, fn, fn.owner, this.anyMove())
    else if (dice < 16 || plan === undefined) {
      const made = build.newPlan()
      if (
        await this.call("RegisterPlan", by, channel, [`plan ${made.key}`], true, (to) => to.registerPlan(made, options))
      ) {
        remember(plans, { key: made.key, owner: by })
      }
    } else if (dice < 19 || manager === undefined) {
      const made = build.newDataManager()
      if (
        await this.call("RegisterDataManager", by, channel, [`manager ${made.key}`], true, (to) =>
          to.registerDataManager(made, options)
        )
      ) {
        remember(managers, { key: made.key, owner: by })
      }
    } else if (dice < 23) {
      // Now and then more than goes out to PostgreSQL in one piece.
      const length = random.below(20) === 0 ? random.between(600, 2000) : random.between(1, 4)
      const made = Array.from({ length }, () => build.newDataSample([manager]))
      const marks = made.map(({ key }) => `sample ${key}`)
      if (
        await this.call("RegisterDataSamples", manager.owner, channel, marks, true, (to) =>
          to.registerDataSamples({ samples: made }, options)
        )
      ) {
        remember(samples, ...made.map(({ key }) => ({ key, owner: manager.owner })))
      }
    } else if (dice < 26 && samples.length > 0) {
      const sample = random.pick(samples)
      await this.call("UpdateDataSamples", sample.owner, channel, [`${sample.key} of ${manager.key}`], false, (to) =>
        to.updateDataSamples({ keys: [sample.key], dataManagerKeys: [manager.key] }, options)
      )
    } else if (dice < 29) {
      // By either organization: the other's is refused, and leaves nothing.
      await this.call("UpdatePlan", by, channel, [`named ${token}`], true, (to) =>
        to.updatePlan({ key: plan.key, name: token }, options)
      )
    } else if (dice < 31) {
      await this.call("UpdateFunction", by, channel, [`named ${token}`], true, (to) =>
        to.updateFunction({ key: fn.key, name: token, image: build.addressable() }, options)
      )
    } else if (dice < 33) {
      await this.call("UpdateDataManager", by, channel, [`named ${token}`], true, (to) =>
        to.updateDataManager({ key: manager.key, name: token }, options)
      )
    } else if (dice < 34) {
      await this.call("ApplyPlanAction", plan.owner, channel, [`canceled ${plan.key}`], false, (to) =>
        to.applyPlanAction({ key: plan.key, action: "PLAN_ACTION_CANCELED" }, options)
      )
    } else if (dice < 36) {
      await this.call("RegisterProfilingStep", by, channel, [`step ${token}`], true, (to) =>
        to.registerProfilingStep({ assetKey: plan.key, step: token, duration: 1 }, options)
      )
    } else if (dice < 48 || tasks.length === 0) return this.registerTasks(channel, known, plan, fn)
    else return this.workOn(channel, random.pick(tasks), token)
  }

  private anyMove() {
    const ends = this.random.below(4) === 0 ? (["CANCELED", "FAILED"] as const) : []
    return this.random.pick(["BUILDING", "READY", "READY", ...ends] as const)
  }

  private async moveFunction(
    channel: string,
    { key }: { readonly key: string },
    owner: Organization,
    move: "BUILDING" | "READY" | "CANCELED" | "FAILED"
  ): Promise<void> {
    const marks = [`${key} FUNCTION_STATUS_${move}`]
    await this.call("ApplyFunctionAction", owner, channel, marks, false, (to) =>
      to.applyFunctionAction({ functionKey: key, action: `FUNCTION_ACTION_${move}` }, options)
    )
  }

  /** Tasks that follow from each other and from those before; one batch in five has a wrong one, and is refused. */
  private async registerTasks(
    channel: string,
    { tasks }: Known,
    plan: Owned,
    fn: ReturnType<typeof build.newFunction>
  ): Promise<void> {
    const { random } = this
    const made: Array<ReturnType<typeof build.newTask>> = []
    for (let count = random.between(1, 6); count > 0; count--) {
      const parents = [...made, ...tasks.slice(-20)]
      const inputs = Array.from({ length: random.below(3) }, () => random.pick(parents)).flatMap((parent) =>
        parent === undefined ? [] : [build.from("models", parent)]
      )
      made.push(
        build.newTask(fn, plan, {
          worker: random.pick(organizations),
          inputs,
          outputs: { out: build.output(build.everybody, true), score: build.output() }
        })
      )
    }
    if (random.below(5) === 0) made.push(build.newTask(fn, plan, { worker: "NobodyMSP" }))
    const marks = made.map(({ key }) => `task ${key}`)
    if (
      await this.call("RegisterTasks", plan.owner, channel, marks, true, (to) =>
        to.registerTasks({ tasks: made }, options)
      )
    ) {
      remember(tasks, ...made.map(({ key, worker }) => ({ key, owner: plan.owner, worker: worker as Organization })))
    }
  }

  private async workOn(channel: string, { key, worker }: Task, token: string): Promise<void> {
    const { random } = this
    const dice = random.below(20)
    const move = (action: "EXECUTING" | "DONE" | "FAILED" | "CANCELED") =>
      this.call("ApplyTaskAction", worker, channel, [`reason ${token}${action}`], true, (to) =>
        to.applyTaskAction({ computeTaskKey: key, action: `TASK_ACTION_${action}`, log: `${token}${action}` }, options)
      )
    if (dice === 0) await move("FAILED")
    else if (dice === 1) await move("CANCELED")
    else if (dice === 2) {
      await this.call("RegisterFailureReport", worker, channel, [`failureReport ${key}`], false, (to) =>
        to.registerFailureReport(
          { assetKey: key, assetType: "FAILED_ASSET_COMPUTE_TASK", errorType: "ERROR_TYPE_INTERNAL" },
          options
        )
      )
    } else if (dice === 3) {
      await this.call("DisableOutput", worker, channel, [], false, (to) =>
        to.disableOutput({ computeTaskKey: key, identifier: "out" }, options)
      )
    } else {
      if (!(await move("EXECUTING")) && random.below(8) > 0) return
      const made = build.newModel(key)
      const marks = [`model ${made.key}`, `output ${made.key}`]
      await this.call("RegisterModels", worker, channel, marks, true, (to) =>
        to.registerModels({ models: [made] }, options)
      )
      await this.call("RegisterPerformance", worker, channel, [`performance ${key}|score`], false, (to) =>
        to.registerPerformance(
          { computeTaskKey: key, computeTaskOutputIdentifier: "score", performanceValue: 0.5 },
          options
        )
      )
      if (dice < 18) await move("DONE")
    }
  }
}
