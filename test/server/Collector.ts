/** An OpenTelemetry collector for tests: takes spans as JSON over HTTP and keeps them. */
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly status: { readonly code: number; readonly message?: string }
}

export interface Collector extends AsyncDisposable {
  readonly url: string
  readonly spans: ReadonlyArray<Span>
  readonly resource: Readonly<Record<string, unknown>>
  /** Everything that it was sent, as it came. */
  readonly bodies: ReadonlyArray<string>
  readonly requests: ReadonlyArray<{ readonly path: string | undefined; readonly headers: IncomingHttpHeaders }>
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

const record = (attributes: ReadonlyArray<Attribute>) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

export const open = async (): Promise<Collector> => {
  const spans: Array<Span> = []
  const bodies: Array<string> = []
  const requests: Array<Collector["requests"][number]> = []
  let resource: Readonly<Record<string, unknown>> = {}
  const server = createServer(async (request, response) => {
    let body = ""
    for await (const chunk of request.setEncoding("utf8")) body += chunk
    requests.push({ path: request.url, headers: request.headers })
    bodies.push(body)
    for (const each of JSON.parse(body).resourceSpans) {
      resource = record(each.resource.attributes)
      for (const span of each.scopeSpans[0].spans) spans.push({ ...span, attributes: record(span.attributes) })
    }
    response.end("{}")
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    bodies,
    requests,
    get resource() {
      return resource
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    }
  }
}
