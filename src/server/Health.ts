/**
 * grpc.health.v1: the server as a whole (the empty name) and each of its services. Needs no headers. Watchers hear of
 * the end of service, and are sent away then, so that nothing holds up the shutdown.
 */
import { type Server, type ServerWritableStream, status, type UntypedServiceImplementation } from "@grpc/grpc-js"
import { HealthImplementation } from "grpc-health-check"
import { plainStatus } from "./Status.ts"

type Watch = ServerWritableStream<{ readonly service: string }, unknown>

export class Health {
  private readonly implementation: HealthImplementation
  private readonly names: ReadonlyArray<string>
  private readonly watchers = new Set<Watch>()

  constructor(services: ReadonlyArray<string>) {
    this.names = ["", ...services]
    this.implementation = new HealthImplementation(Object.fromEntries(this.names.map((name) => [name, "SERVING"])))
  }

  addTo(server: Server): void {
    const addService: Server["addService"] = (definition, handlers) => {
      const watch = (handlers as UntypedServiceImplementation).watch as (call: Watch) => void
      server.addService(definition, {
        ...handlers,
        watch: (call: Watch) => {
          this.watchers.add(call)
          call.on("cancelled", () => this.watchers.delete(call))
          // The library would keep every name that it was ever asked for. There will be no others.
          if (this.names.includes(call.request.service)) watch(call)
          else call.write({ status: "SERVICE_UNKNOWN" })
        }
      })
    }
    this.implementation.addToServer({ addService } as never)
  }

  /** NOT_SERVING for everything, told to those who watch; then their streams end. */
  drain(): void {
    for (const name of this.names) this.implementation.setStatus(name, "NOT_SERVING")
    for (const call of this.watchers) call.emit("error", plainStatus(status.UNAVAILABLE, "the server is shutting down"))
  }
}
