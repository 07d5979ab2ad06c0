/** The usual metrics of a gRPC server, and the outcome of each call's transaction (config.md, metrics). */
import { status } from "@grpc/grpc-js"
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { eventsToSubscribers } from "../services/Metrics.ts"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const started = counter("grpc_server_started_total", "RPCs started on the server")
const handled = counter("grpc_server_handled_total", "RPCs completed on the server, by code")
const received = counter("grpc_server_msg_received_total", "Messages received from clients")
const sent = counter("grpc_server_msg_sent_total", "Messages sent to clients")
const handling = Metric.histogram("grpc_server_handling_seconds", {
  description: "Seconds that the server took to answer",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})
const transactions = counter("orc_db_transaction_total", "Transactions, by rpc and outcome")

/** Codes as Go writes them: `NotFound`. CANCELLED has one l there. */
const codeNames = new Map(
  Object.entries(status).flatMap(([name, code]) =>
    typeof code === "number"
      ? [[code, name === "OK" ? "OK" : name === "CANCELLED" ? "Canceled" : pascalCase(name)] as const]
      : []
  )
)

function pascalCase(name: string): string {
  return name
    .split("_")
    .map((word) => word.charAt(0) + word.slice(1).toLowerCase())
    .join("")
}

/** The metrics of one rpc. All calls of a process share the registry of `context`. */
export class CallMetrics {
  private readonly labels: Record<string, string>
  /** `/orchestrator.ComputePlanService/RegisterPlan` */
  readonly path: string
  private readonly context: Context.Context<never>
  private readonly byCode = new Map<number, Metric.Counter<number>>()
  private readonly byOutcome = new Map<string, Metric.Counter<number>>()
  private readonly startedCalls: Metric.Counter<number>
  private readonly receivedMessages: Metric.Counter<number>
  private readonly sentMessages: Metric.Counter<number>
  private readonly seconds: Metric.Histogram<number>

  constructor(fullName: string, method: string, stream: boolean, context: Context.Context<never>) {
    this.path = `/${fullName}/${method}`
    this.labels = { grpc_type: stream ? "server_stream" : "unary", grpc_service: fullName, grpc_method: method }
    this.context = context
    this.startedCalls = Metric.withAttributes(started, this.labels)
    this.receivedMessages = Metric.withAttributes(received, this.labels)
    this.sentMessages = Metric.withAttributes(sent, this.labels)
    this.seconds = Metric.withAttributes(handling, this.labels)
  }

  /** A call came, with its message. Says when, for `ended`. */
  begun(): number {
    this.startedCalls.updateUnsafe(1, this.context)
    this.receivedMessages.updateUnsafe(1, this.context)
    return performance.now()
  }

  answered(messages: number): void {
    this.sentMessages.updateUnsafe(messages, this.context)
  }

  ended(code: status, begun: number): void {
    let counted = this.byCode.get(code)
    if (counted === undefined) {
      counted = Metric.withAttributes(handled, { ...this.labels, grpc_code: codeNames.get(code) ?? "Unknown" })
      this.byCode.set(code, counted)
    }
    counted.updateUnsafe(1, this.context)
    this.seconds.updateUnsafe((performance.now() - begun) / 1000, this.context)
  }

  /** The call's one transaction, however often it was run. */
  transaction(outcome: "commit" | "rollback"): void {
    let counted = this.byOutcome.get(outcome)
    if (counted === undefined) {
      counted = Metric.withAttributes(transactions, { method: this.path, outcome })
      this.byOutcome.set(outcome, counted)
    }
    counted.updateUnsafe(1, this.context)
  }

  delivered(events: number): void {
    this.sentMessages.updateUnsafe(events, this.context)
    eventsToSubscribers.updateUnsafe(events, this.context)
  }
}
