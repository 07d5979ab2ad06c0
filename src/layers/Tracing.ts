/** Export of spans over OTLP/HTTP, set up by the variables of OpenTelemetry. Without an endpoint there is none. */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import * as Redacted from "effect/Redacted"
import { type Spans, Tracing } from "../services/Tracing.ts"
import type { AppConfig } from "./config/AppConfig.ts"

const defaultName = "substra-orchestrator"

/** Where spans are sent: the address of the signal itself, or of the collector. */
const endpoint = (config: AppConfig): string | undefined => {
  if (config.OTEL_SDK_DISABLED) return undefined
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces } = config
  if (traces !== undefined || base === undefined) return traces
  const url = new URL(base)
  url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`
  return url.href
}

/** The part of all traces that an id falls into, from 0 to 1: every service that samples by id decides alike. */
const place = (traceId: string): number => Number.parseInt(traceId.slice(-13), 16) / 16 ** 13

const sampler = (config: AppConfig): Spans["isSampled"] => {
  const { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: share } = config
  const ratio = name.endsWith("always_on") ? 1 : name.endsWith("always_off") ? 0 : share
  return (caller) => {
    if (Option.isNone(caller)) return Math.random() < ratio
    return name.startsWith("parentbased_") ? caller.value.sampled : place(caller.value.traceId) < ratio
  }
}

/** Spans that are not sent when the scope closes are sent then. */
export const layer = (config: AppConfig, version: string): Layer.Layer<never> => {
  const url = endpoint(config)
  if (url === undefined) return Layer.empty
  const attributes = Object.fromEntries(config.OTEL_RESOURCE_ATTRIBUTES)
  const tracer = OtlpTracer.make({
    url,
    headers: Object.fromEntries(Redacted.value(config.OTEL_EXPORTER_OTLP_HEADERS)),
    resource: {
      serviceName: config.OTEL_SERVICE_NAME ?? attributes["service.name"] ?? defaultName,
      serviceVersion: version,
      attributes
    }
  })
  return Layer.effect(
    Tracing,
    Effect.map(tracer, (made): Spans => ({ tracer: made, isSampled: sampler(config) }))
  ).pipe(
    Layer.provide([
      OtlpExporter.layerFlusher,
      FetchHttpClient.layer,
      config.OTEL_EXPORTER_OTLP_PROTOCOL === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf
    ])
  )
}
