/**
 * QueryEvents by kind: without these a page of events of a rare kind reads the whole log. Created and updated events
 * are so many that the log itself is the index; those that were disabled are few.
 */
export const eventsByKind = /* sql */ `
CREATE INDEX events_by_kind ON events (channel, asset_kind, "timestamp", position);
CREATE INDEX events_disabled ON events (channel, "timestamp", position) WHERE event_kind = 'EVENT_ASSET_DISABLED';
`
