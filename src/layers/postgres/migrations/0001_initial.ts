/** The first schema. The channel is part of every primary key; keys are unique for each kind over all channels. */
export const initial = /* sql */ `
CREATE TYPE function_status AS ENUM (
  'FUNCTION_STATUS_WAITING', 'FUNCTION_STATUS_BUILDING', 'FUNCTION_STATUS_READY',
  'FUNCTION_STATUS_CANCELED', 'FUNCTION_STATUS_FAILED');

CREATE TYPE task_status AS ENUM (
  'STATUS_WAITING_FOR_BUILDER_SLOT', 'STATUS_BUILDING', 'STATUS_WAITING_FOR_PARENT_TASKS',
  'STATUS_WAITING_FOR_EXECUTOR_SLOT', 'STATUS_EXECUTING', 'STATUS_DONE', 'STATUS_CANCELED', 'STATUS_FAILED');

CREATE TYPE asset_kind AS ENUM (
  'ASSET_ORGANIZATION', 'ASSET_DATA_SAMPLE', 'ASSET_DATA_MANAGER', 'ASSET_FUNCTION', 'ASSET_COMPUTE_TASK',
  'ASSET_COMPUTE_PLAN', 'ASSET_MODEL', 'ASSET_PERFORMANCE', 'ASSET_FAILURE_REPORT',
  'ASSET_COMPUTE_TASK_OUTPUT_ASSET', 'ASSET_PROFILING_STEP');

CREATE TYPE event_kind AS ENUM ('EVENT_ASSET_CREATED', 'EVENT_ASSET_UPDATED', 'EVENT_ASSET_DISABLED');
CREATE TYPE failed_asset_kind AS ENUM ('FAILED_ASSET_COMPUTE_TASK', 'FAILED_ASSET_FUNCTION');
CREATE TYPE error_type AS ENUM ('ERROR_TYPE_BUILD', 'ERROR_TYPE_EXECUTION', 'ERROR_TYPE_INTERNAL');

CREATE TABLE organizations (
  channel text NOT NULL,
  id text NOT NULL,
  address text NOT NULL,
  creation_date timestamptz NOT NULL,
  CONSTRAINT organizations_pkey PRIMARY KEY (channel, id)
);

-- size: about how many bytes the asset takes in a message, so that a page can be cut before it is read.
CREATE TABLE functions (
  channel text NOT NULL,
  key uuid NOT NULL,
  owner text NOT NULL,
  name text NOT NULL,
  status function_status NOT NULL,
  creation_date timestamptz NOT NULL,
  description jsonb NOT NULL,
  archive jsonb NOT NULL,
  image jsonb NOT NULL,
  permissions jsonb NOT NULL,
  metadata jsonb NOT NULL,
  inputs jsonb NOT NULL,
  outputs jsonb NOT NULL,
  size integer NOT NULL,
  CONSTRAINT functions_pkey PRIMARY KEY (channel, key),
  CONSTRAINT functions_key UNIQUE (key)
);
CREATE INDEX functions_by_date ON functions (channel, creation_date, key);

CREATE TABLE data_managers (
  channel text NOT NULL,
  key uuid NOT NULL,
  owner text NOT NULL,
  name text NOT NULL,
  creation_date timestamptz NOT NULL,
  description jsonb NOT NULL,
  opener jsonb NOT NULL,
  permissions jsonb NOT NULL,
  logs_permission jsonb NOT NULL,
  metadata jsonb NOT NULL,
  size integer NOT NULL,
  CONSTRAINT data_managers_pkey PRIMARY KEY (channel, key),
  CONSTRAINT data_managers_key UNIQUE (key)
);
CREATE INDEX data_managers_by_date ON data_managers (channel, creation_date, key);

CREATE TABLE data_samples (
  channel text NOT NULL,
  key uuid NOT NULL,
  owner text NOT NULL,
  checksum text NOT NULL,
  creation_date timestamptz NOT NULL,
  data_manager_keys uuid[] NOT NULL,
  size integer NOT NULL,
  CONSTRAINT data_samples_pkey PRIMARY KEY (channel, key),
  CONSTRAINT data_samples_key UNIQUE (key)
);
CREATE INDEX data_samples_by_date ON data_samples (channel, creation_date, key);

-- The same relation as data_samples.data_manager_keys, which keeps its order, from the other side.
CREATE TABLE data_manager_samples (
  channel text NOT NULL,
  data_manager_key uuid NOT NULL,
  data_sample_key uuid NOT NULL,
  CONSTRAINT data_manager_samples_pkey PRIMARY KEY (channel, data_manager_key, data_sample_key),
  CONSTRAINT data_manager_samples_manager FOREIGN KEY (channel, data_manager_key) REFERENCES data_managers (channel, key),
  CONSTRAINT data_manager_samples_sample FOREIGN KEY (channel, data_sample_key) REFERENCES data_samples (channel, key)
);

CREATE TABLE compute_plans (
  channel text NOT NULL,
  key uuid NOT NULL,
  owner text NOT NULL,
  name text NOT NULL,
  tag text NOT NULL,
  creation_date timestamptz NOT NULL,
  cancelation_date timestamptz,
  failure_date timestamptz,
  metadata jsonb NOT NULL,
  size integer NOT NULL,
  CONSTRAINT compute_plans_pkey PRIMARY KEY (channel, key),
  CONSTRAINT compute_plans_key UNIQUE (key)
);
CREATE INDEX compute_plans_by_date ON compute_plans (channel, creation_date, key);
CREATE INDEX compute_plans_by_owner ON compute_plans (channel, owner, creation_date, key);

CREATE TABLE compute_tasks (
  channel text NOT NULL,
  key uuid NOT NULL,
  owner text NOT NULL,
  worker text NOT NULL,
  compute_plan_key uuid NOT NULL,
  function_key uuid NOT NULL,
  rank integer NOT NULL CHECK (rank >= 0),
  status task_status NOT NULL,
  creation_date timestamptz NOT NULL,
  logs_permission jsonb NOT NULL,
  metadata jsonb NOT NULL,
  inputs jsonb NOT NULL,
  outputs jsonb NOT NULL,
  size integer NOT NULL,
  CONSTRAINT compute_tasks_pkey PRIMARY KEY (channel, key),
  CONSTRAINT compute_tasks_key UNIQUE (key),
  CONSTRAINT compute_tasks_plan FOREIGN KEY (channel, compute_plan_key) REFERENCES compute_plans (channel, key),
  CONSTRAINT compute_tasks_function FOREIGN KEY (channel, function_key) REFERENCES functions (channel, key),
  CONSTRAINT compute_tasks_worker FOREIGN KEY (channel, worker) REFERENCES organizations (channel, id)
) WITH (fillfactor = 85);
CREATE INDEX compute_tasks_by_date ON compute_tasks (channel, creation_date, key);
CREATE INDEX compute_tasks_by_plan ON compute_tasks (channel, compute_plan_key, creation_date, key);
CREATE INDEX compute_tasks_by_function ON compute_tasks (channel, function_key, creation_date, key);
CREATE INDEX compute_tasks_by_worker ON compute_tasks (channel, worker, creation_date, key);

-- Which tasks take outputs of which, each pair once.
CREATE TABLE task_parents (
  channel text NOT NULL,
  child_key uuid NOT NULL,
  parent_key uuid NOT NULL,
  CONSTRAINT task_parents_pkey PRIMARY KEY (channel, child_key, parent_key),
  CONSTRAINT task_parents_child FOREIGN KEY (channel, child_key) REFERENCES compute_tasks (channel, key),
  CONSTRAINT task_parents_parent FOREIGN KEY (channel, parent_key) REFERENCES compute_tasks (channel, key)
);
CREATE INDEX task_parents_by_parent ON task_parents (channel, parent_key, child_key);

-- ordinal: the order of registration among the models of a task. A disabled model has no address.
CREATE TABLE models (
  channel text NOT NULL,
  key uuid NOT NULL,
  owner text NOT NULL,
  compute_task_key uuid NOT NULL,
  output_identifier text NOT NULL,
  ordinal integer NOT NULL,
  creation_date timestamptz NOT NULL,
  address jsonb,
  permissions jsonb NOT NULL,
  CONSTRAINT models_pkey PRIMARY KEY (channel, key),
  CONSTRAINT models_key UNIQUE (key),
  CONSTRAINT models_of_task UNIQUE (channel, compute_task_key, ordinal),
  CONSTRAINT models_task FOREIGN KEY (channel, compute_task_key) REFERENCES compute_tasks (channel, key)
);

CREATE TABLE performances (
  channel text NOT NULL,
  compute_task_key uuid NOT NULL,
  output_identifier text NOT NULL,
  value real NOT NULL,
  creation_date timestamptz NOT NULL,
  CONSTRAINT performances_pkey PRIMARY KEY (channel, compute_task_key, output_identifier),
  CONSTRAINT performances_task FOREIGN KEY (channel, compute_task_key) REFERENCES compute_tasks (channel, key)
);
CREATE INDEX performances_by_date ON performances (channel, creation_date, compute_task_key DESC, output_identifier);

CREATE TABLE failure_reports (
  channel text NOT NULL,
  asset_key uuid NOT NULL,
  asset_type failed_asset_kind NOT NULL,
  error_type error_type NOT NULL,
  logs_address jsonb,
  owner text NOT NULL,
  creation_date timestamptz NOT NULL,
  CONSTRAINT failure_reports_pkey PRIMARY KEY (channel, asset_key, asset_type),
  CONSTRAINT failure_reports_logs CHECK ((logs_address IS NULL) = (error_type = 'ERROR_TYPE_INTERNAL'))
);

CREATE TABLE profiling_steps (
  channel text NOT NULL,
  asset_key uuid NOT NULL,
  step text NOT NULL,
  duration bigint NOT NULL CHECK (duration > 0),
  CONSTRAINT profiling_steps_pkey PRIMARY KEY (channel, asset_key, step)
);

-- The log. message: the event in the contract's encoding but for its timestamp. metadata: absent when empty.
CREATE TABLE events (
  channel text NOT NULL,
  position bigint NOT NULL CHECK (position > 0),
  id uuid NOT NULL,
  "timestamp" timestamptz NOT NULL,
  asset_key text NOT NULL,
  asset_kind asset_kind NOT NULL,
  event_kind event_kind NOT NULL,
  metadata jsonb,
  message bytea NOT NULL,
  CONSTRAINT events_pkey PRIMARY KEY (channel, position),
  CONSTRAINT events_id UNIQUE (id)
);
CREATE INDEX events_by_time ON events (channel, "timestamp", position);
CREATE INDEX events_by_asset ON events (channel, asset_key, "timestamp", position);

-- Messages are looked at as a whole and are small: compressing them costs more than it saves.
ALTER TABLE events ALTER COLUMN message SET STORAGE EXTERNAL;

-- Appends the events of one transaction, as its last statement before COMMIT: the channel's lock is held until the
-- commit is visible, so the order of positions is the order of commits. Returns the first position and the timestamp.
CREATE FUNCTION append_events(
  of_channel text, at timestamptz, ids uuid[], asset_keys text[], asset_kinds asset_kind[], event_kinds event_kind[],
  reasons text[], messages bytea[], OUT first_position bigint, OUT logged_at timestamptz)
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
  SELECT e.position, e."timestamp" INTO last_position, last_time
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
