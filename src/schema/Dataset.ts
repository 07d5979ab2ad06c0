/** A data manager with the keys of its samples. */
import type { DataManager } from "./DataManager.ts"
import type { Key } from "./Key.ts"

export interface Dataset {
  readonly dataManager: DataManager
  /** By creation date, then key. */
  readonly dataSampleKeys: ReadonlyArray<Key>
}
