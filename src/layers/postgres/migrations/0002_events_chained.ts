/**
 * append_events tells the id of the event before its own, so that a server notices that it goes on in another log than
 * the one that it has sent, after a failover that lost commits. What it returned before is as it was.
 *
 * QueryEvents by kind: without these a page of events of a rare kind reads the whole log. Created and updated events
 * are so many that the log itself is the index; those that were disabled are few.
 */
export const eventsChained = /* sql */ `
CREATE INDEX events_by_kind ON events (channel, asset_kind, "timestamp", position);
CREATE INDEX events_disabled ON events (channel, "timestamp", position) WHERE event_kind = 'EVENT_ASSET_DISABLED';

DROP FUNCTION append_events;
CREATE FUNCTION append_events(
  of_channel text, at timestamptz, ids uuid[], asset_keys text[], asset_kinds asset_kind[], event_kinds event_kind[],
  reasons text[], messages bytea[], OUT first_position bigint, OUT logged_at timestamptz,
  OUT previous_id uuid)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  last_position bigint;
  last_time timestamptz;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'append_events needs READ COMMITTED: under any other isolation it would not see the last position';
  END IF;
  -- 1869767528 is "orch" in ASCII: the namespace of this lock.
  PERFORM pg_advisory_xact_lock(1869767528, hashtext(of_channel));
  SELECT e.position, e."timestamp", e.id INTO last_position, last_time, previous_id
    FROM events e WHERE e.channel = of_channel ORDER BY e.position DESC LIMIT 1;
  first_position := coalesce(last_position, 0) + 1;
  logged_at := greatest(at, last_time);
  INSERT INTO events (channel, position, id, "timestamp", asset_key, asset_kind, event_kind, metadata, message)
    SELECT of_channel, first_position - 1 + e.n, e.id, logged_at, e.asset_key, e.asset_kind, e.event_kind,
           CASE WHEN e.reason IS NOT NULL THEN jsonb_build_object('reason', e.reason) END, e.message
      FROM unnest(ids, asset_keys, asset_kinds, event_kinds, reasons, messages)
           WITH ORDINALITY AS e (id, asset_key, asset_kind, event_kind, reason, message, n);
END
$$;
`
