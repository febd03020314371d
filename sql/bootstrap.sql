-- SPDX-License-Identifier: MIT
-- What must be there before the first schema file, after the roles: the schema, and the ledger of
-- awa migrate. From here on everything is done, and owned, by awa_owner.
CREATE SCHEMA IF NOT EXISTS awa AUTHORIZATION awa_owner;
SET LOCAL ROLE awa_owner;

-- One row for each schema file that was applied here.
CREATE TABLE awa.schema_migrations (
    version int PRIMARY KEY CHECK (version > 0),
    name text NOT NULL,
    checksum text NOT NULL, -- sha256 of the file
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp());

-- One row: which engine files are in force.
CREATE TABLE awa.schema_engine (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    checksum text NOT NULL, -- sha256 over the names and checksums of all engine files
    version text NOT NULL CHECK (version ~ '^\d+(\.\d+)*$'), -- of the awa that applied them
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
