#!/bin/sh
# Run by the image postgres once, on an empty volume: a role that owns its database and is no superuser.
set -eu
psql --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\getenv password DATABASE_PASSWORD
CREATE ROLE orchestrator LOGIN PASSWORD :'password';
CREATE DATABASE orchestrator OWNER orchestrator;
SQL
