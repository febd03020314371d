-- SPDX-License-Identifier: MIT
-- What must be there before the first schema file: the roles, the schema, and the ledger of
-- awa migrate. From here on everything is done, and owned, by awa_owner.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['awa_owner', 'awa_producer', 'awa_bulk_producer', 'awa_worker',
                                  'awa_operator', 'awa_viewer'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_roles AS r WHERE r.rolname = v_role) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- roles belong to the whole server: another database was faster
        END;
    END LOOP;
    -- Since version 16, who made a role may hand it out, but may not yet become it.
    IF NOT pg_has_role('awa_owner', CASE WHEN current_setting('server_version_num')::int < 160000
                                         THEN 'MEMBER' ELSE 'SET' END) THEN
        EXECUTE format('GRANT awa_owner TO %I', current_user);
    END IF;
END
$$;

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
