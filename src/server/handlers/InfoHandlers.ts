/** InfoService. */
import * as Effect from "effect/Effect"
import { InfoServiceDefinition } from "../../layers/wire/generated/info.ts"
import { Info } from "../../services/Info.ts"
import { plain, service } from "../Rpc.ts"

export const infoHandlers = Effect.map(Info, ({ version }) =>
  service(InfoServiceDefinition, {
    queryVersion: plain(() => Effect.succeed({ orchestrator: version }))
  })
)
