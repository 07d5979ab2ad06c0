-- The tables of Substra orchestrator 1.0.0 (schema 64), in the schema public. Foreign keys are deferred, so that rows
-- can be loaded in any order in one transaction.
CREATE TABLE public.schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
INSERT INTO public.schema_migrations (version, dirty) VALUES (64, false);

CREATE TABLE public.asset_kinds (kind varchar(50) PRIMARY KEY);
CREATE TABLE public.event_kinds (kind varchar(50) PRIMARY KEY);
CREATE TABLE public.error_types (error_type varchar(50) PRIMARY KEY);
CREATE TABLE public.failed_asset_kinds (kind varchar(50) PRIMARY KEY);
CREATE TABLE public.function_statuses (status varchar(100) PRIMARY KEY);
CREATE TABLE public.compute_task_statuses (status varchar(100) PRIMARY KEY);

CREATE TABLE public.organizations (
  id varchar(100) NOT NULL,
  channel varchar(100) NOT NULL,
  creation_date timestamptz NOT NULL,
  address varchar(200) NOT NULL,
  PRIMARY KEY (id, channel));

CREATE TABLE public.addressables (storage_address varchar(200) PRIMARY KEY, checksum varchar(100));

CREATE TABLE public.functions (
  key uuid PRIMARY KEY,
  channel varchar(100) NOT NULL,
  name varchar(100) NOT NULL,
  description varchar(200) NOT NULL REFERENCES public.addressables DEFERRABLE INITIALLY DEFERRED,
  archive_address varchar(200) NOT NULL REFERENCES public.addressables DEFERRABLE INITIALLY DEFERRED,
  permissions jsonb NOT NULL,
  owner varchar(100) NOT NULL,
  creation_date timestamptz NOT NULL,
  metadata jsonb NOT NULL,
  status varchar(100) REFERENCES public.function_statuses DEFERRABLE INITIALLY DEFERRED,
  image_address varchar(200) NOT NULL REFERENCES public.addressables DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE public.function_inputs (
  function_key uuid NOT NULL REFERENCES public.functions DEFERRABLE INITIALLY DEFERRED,
  identifier varchar(100) NOT NULL,
  kind varchar(50) NOT NULL REFERENCES public.asset_kinds DEFERRABLE INITIALLY DEFERRED,
  multiple boolean NOT NULL,
  optional boolean NOT NULL,
  PRIMARY KEY (function_key, identifier));

CREATE TABLE public.function_outputs (
  function_key uuid NOT NULL REFERENCES public.functions DEFERRABLE INITIALLY DEFERRED,
  identifier varchar(100) NOT NULL,
  kind varchar(50) NOT NULL REFERENCES public.asset_kinds DEFERRABLE INITIALLY DEFERRED,
  multiple boolean NOT NULL,
  PRIMARY KEY (function_key, identifier));

CREATE TABLE public.datamanagers (
  key uuid PRIMARY KEY,
  channel varchar(100) NOT NULL,
  name varchar(100) NOT NULL,
  owner varchar(100) NOT NULL,
  permissions jsonb NOT NULL,
  description varchar(200) NOT NULL REFERENCES public.addressables DEFERRABLE INITIALLY DEFERRED,
  opener varchar(200) NOT NULL REFERENCES public.addressables DEFERRABLE INITIALLY DEFERRED,
  creation_date timestamptz NOT NULL,
  logs_permission jsonb NOT NULL,
  metadata jsonb NOT NULL);

CREATE TABLE public.datasamples (
  key uuid PRIMARY KEY,
  channel varchar(100) NOT NULL,
  owner varchar(100) NOT NULL,
  checksum varchar(100) NOT NULL,
  creation_date timestamptz NOT NULL);

CREATE TABLE public.datasample_datamanagers (
  datasample_key uuid NOT NULL REFERENCES public.datasamples DEFERRABLE INITIALLY DEFERRED,
  datamanager_key uuid NOT NULL REFERENCES public.datamanagers DEFERRABLE INITIALLY DEFERRED,
  PRIMARY KEY (datasample_key, datamanager_key));

CREATE TABLE public.compute_plans (
  key uuid PRIMARY KEY,
  channel varchar(100) NOT NULL,
  owner varchar(100) NOT NULL,
  creation_date timestamptz NOT NULL,
  tag varchar(100) NOT NULL,
  metadata jsonb NOT NULL,
  name varchar(100) NOT NULL,
  cancelation_date timestamptz,
  failure_date timestamptz);

CREATE TABLE public.compute_tasks (
  key uuid PRIMARY KEY,
  channel varchar(100) NOT NULL,
  compute_plan_key uuid NOT NULL REFERENCES public.compute_plans DEFERRABLE INITIALLY DEFERRED,
  status varchar(100) NOT NULL REFERENCES public.compute_task_statuses DEFERRABLE INITIALLY DEFERRED,
  worker varchar(100) NOT NULL,
  function_key uuid NOT NULL REFERENCES public.functions DEFERRABLE INITIALLY DEFERRED,
  owner varchar(100) NOT NULL,
  rank integer NOT NULL,
  creation_date timestamptz NOT NULL,
  logs_permission jsonb NOT NULL,
  metadata jsonb NOT NULL);

CREATE TABLE public.compute_task_inputs (
  compute_task_key uuid NOT NULL REFERENCES public.compute_tasks DEFERRABLE INITIALLY DEFERRED,
  identifier varchar(100) NOT NULL,
  position integer NOT NULL,
  asset_key uuid,
  parent_task_key uuid REFERENCES public.compute_tasks DEFERRABLE INITIALLY DEFERRED,
  parent_task_output_identifier varchar(100),
  PRIMARY KEY (compute_task_key, position));

CREATE TABLE public.compute_task_outputs (
  compute_task_key uuid NOT NULL REFERENCES public.compute_tasks DEFERRABLE INITIALLY DEFERRED,
  identifier varchar(100) NOT NULL,
  permissions jsonb NOT NULL,
  transient boolean NOT NULL,
  PRIMARY KEY (compute_task_key, identifier));

CREATE TABLE public.compute_task_parents (
  child_task_key uuid NOT NULL REFERENCES public.compute_tasks DEFERRABLE INITIALLY DEFERRED,
  parent_task_key uuid NOT NULL REFERENCES public.compute_tasks DEFERRABLE INITIALLY DEFERRED,
  position integer NOT NULL);

CREATE TABLE public.compute_task_output_assets (
  compute_task_key uuid NOT NULL,
  compute_task_output_identifier varchar(100) NOT NULL,
  position integer NOT NULL,
  asset_kind varchar(50) REFERENCES public.asset_kinds DEFERRABLE INITIALLY DEFERRED,
  asset_key varchar(200) NOT NULL UNIQUE,
  FOREIGN KEY (compute_task_key, compute_task_output_identifier)
    REFERENCES public.compute_task_outputs (compute_task_key, identifier) DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE public.models (
  key uuid PRIMARY KEY,
  channel varchar(100) NOT NULL,
  compute_task_key uuid NOT NULL REFERENCES public.compute_tasks DEFERRABLE INITIALLY DEFERRED,
  address varchar(200) REFERENCES public.addressables DEFERRABLE INITIALLY DEFERRED,
  permissions jsonb NOT NULL,
  owner varchar(100) NOT NULL,
  creation_date timestamptz NOT NULL);

CREATE TABLE public.performances (
  compute_task_key uuid NOT NULL REFERENCES public.compute_tasks DEFERRABLE INITIALLY DEFERRED,
  channel varchar(100) NOT NULL,
  performance_value numeric NOT NULL,
  creation_date timestamptz NOT NULL,
  compute_task_output_identifier varchar(100) NOT NULL,
  PRIMARY KEY (compute_task_key, compute_task_output_identifier));

CREATE TABLE public.failure_reports (
  asset_key uuid PRIMARY KEY,
  channel varchar(100) NOT NULL,
  error_type varchar(50) NOT NULL REFERENCES public.error_types DEFERRABLE INITIALLY DEFERRED,
  logs_address varchar(200) REFERENCES public.addressables DEFERRABLE INITIALLY DEFERRED,
  owner varchar(100) NOT NULL,
  creation_date timestamptz NOT NULL,
  asset_type varchar(50) REFERENCES public.failed_asset_kinds DEFERRABLE INITIALLY DEFERRED);

CREATE TABLE public.events (
  id uuid PRIMARY KEY,
  asset_key varchar(200) NOT NULL,
  channel varchar(100) NOT NULL,
  asset_kind varchar(50) NOT NULL REFERENCES public.asset_kinds DEFERRABLE INITIALLY DEFERRED,
  event_kind varchar(50) NOT NULL REFERENCES public.event_kinds DEFERRABLE INITIALLY DEFERRED,
  "timestamp" timestamptz NOT NULL,
  metadata jsonb NOT NULL,
  asset jsonb NOT NULL,
  position bigint NOT NULL UNIQUE);
