-- SPDX-License-Identifier: MIT
-- What `awa migrate` compares a database with: it may be a copy, restored by another login, without
-- its roles or rights, in another cluster, on another version of PostgreSQL.

-- Every object that awa has made, as it was when the engine was last applied: a row for each of
-- statement catalog_read.
CREATE TABLE awa.schema_objects (
    object text PRIMARY KEY,
    definition text NOT NULL,
    acl text NOT NULL);

-- The major version of PostgreSQL on which they were recorded: others print some definitions otherwise.
ALTER TABLE awa.schema_engine ADD server_major int;

-- One row: the database in which the transaction ids, and the values of the sequences, that are
-- stored in tables were drawn. awa.mend() writes it.
CREATE TABLE awa.origin (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    system_identifier bigint, -- of the cluster; NULL: nobody told us
    database oid NOT NULL);
