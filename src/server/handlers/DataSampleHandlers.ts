/** DataSampleService. */
import * as Effect from "effect/Effect"
import { DataSample, DataSampleServiceDefinition } from "../../layers/wire/generated/datasample.ts"
import * as Messages from "../../layers/wire/Messages.ts"
import { DataSamples } from "../../services/DataSamples.ts"
import { assetQuery } from "../AssetQuery.ts"
import { read, service, write } from "../Rpc.ts"

export const dataSampleHandlers = Effect.map(DataSamples, (samples) =>
  service(DataSampleServiceDefinition, {
    registerDataSamples: write((request) =>
      Effect.map(samples.register(request.samples), (registered) => ({
        dataSamples: registered.map(Messages.dataSample)
      }))
    ),
    updateDataSamples: write((request) => Effect.as(samples.update(request), {})),
    queryDataSamples: assetQuery("QueryDataSamples", {
      page: (request, page) => samples.query(request.filter ?? { keys: [] }, page),
      encode: (sample) => DataSample.encode(Messages.dataSample(sample)).finish()
    }),
    getDataSample: read((request) => Effect.map(samples.get(request.key), Messages.dataSample))
  })
)
