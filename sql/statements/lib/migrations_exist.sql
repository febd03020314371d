-- SPDX-License-Identifier: MIT
-- Is there a ledger of migrations, or is this database new to awa? And were its objects recorded?
-- returns: known boolean, recorded boolean
SELECT pg_catalog.to_regclass('awa.schema_migrations') IS NOT NULL AS known,
       pg_catalog.to_regclass('awa.schema_objects') IS NOT NULL AS recorded
