/**
 * Early release of a channel's lock: a transaction commits without waiting for the disk, so that the channel's next
 * writer has its turn at once; only then, behind COMMIT and on the same connection, does it wait. So its answer and its
 * events are durable, and whoever waits, waits for all that was before. Other readers may see a state some milliseconds
 * before that; readers of the log wait too, so no event can be seen that a crash takes back.
 */
import type { Statement } from "./Session.ts"

/** Beside `append_events`: this transaction's COMMIT answers before the disk has it. */
export const earlyCommit = "set_config('synchronous_commit', 'off', true)"

/**
 * A commit that waits for the disk, and for standbys, as the database is set up to. Where the disk has everything and no
 * standby is to be waited for, nothing is written. It is good for what this connection saw before: on another one it
 * might wait for a server that has come up since without that.
 */
export const flush: Statement = {
  sql: `SELECT CASE WHEN pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()
      OR current_setting('synchronous_standby_names') <> ''
    THEN pg_logical_emit_message(true, 'substra-orchestrator', '')::text END`,
  params: []
}
