-- SPDX-License-Identifier: MIT
-- After a restore without owners: the roles that own schema awa, or its ledger, instead of awa_owner. All
-- of the objects $1, from catalog_read, that belong to such a role are given to awa_owner. What other
-- roles made in the schema stays theirs.
-- returns: what text, detail text, commands text, owner text, may boolean: the session is the owner
WITH now AS (
    SELECT n.*, row_number() OVER () AS turn
      FROM json_to_recordset($1::json) AS n (kind text, object text, owner oid)),
wrong AS (
    SELECT DISTINCT n.owner
      FROM now AS n
     WHERE n.object IN ('awa', 'awa.schema_migrations') AND n.owner IS DISTINCT FROM to_regrole('awa_owner'))
SELECT 'owner ' || w.owner::regrole AS what,
       format('%s objects of schema awa', count(*)) AS detail,
       string_agg(format('ALTER %s %s OWNER TO awa_owner', n.kind, n.object), '; ' ORDER BY n.turn)
       AS commands,
       w.owner::regrole::text AS owner, pg_has_role(w.owner, 'USAGE') AS may
  FROM wrong AS w
  JOIN now AS n
    ON n.owner = w.owner
 GROUP BY w.owner
