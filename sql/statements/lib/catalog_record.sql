-- SPDX-License-Identifier: MIT
-- Record objects $1, from catalog_read, and the version of PostgreSQL, for catalog_differences. The
-- sequences that lanes had of their own in old versions are left out.
WITH place AS (
    UPDATE awa.schema_engine SET server_major = current_setting('server_version_num')::int / 10000),
now AS (
    SELECT n.kind || ' ' || n.object AS object, n.definition, n.acl
      FROM json_to_recordset($1::json) AS n (kind text, object text, definition text, acl text)
     WHERE n.object !~ '^awa\.lane_\d+$'),
gone AS (
    DELETE FROM awa.schema_objects AS o
     WHERE NOT EXISTS (SELECT 1 FROM now AS n WHERE n.object = o.object))
INSERT INTO awa.schema_objects AS o (object, definition, acl)
SELECT n.object, n.definition, n.acl FROM now AS n
    ON CONFLICT (object) DO UPDATE
   SET definition = excluded.definition, acl = excluded.acl
 WHERE (o.definition, o.acl) IS DISTINCT FROM (excluded.definition, excluded.acl)
