/** What clients use as a probe: the server's version, without a look at the database. */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

/** `version`: what `QueryVersion` answers. */
export class Info extends Context.Service<Info, { readonly version: string }>()("orchestrator/services/Info") {
  static readonly layer = (version: string): Layer.Layer<Info> => Layer.succeed(Info, Info.of({ version }))
}
