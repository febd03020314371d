-- SPDX-License-Identifier: MIT
-- Is there a ledger of migrations, or is this database new to awa?
-- returns: known boolean
SELECT pg_catalog.to_regclass('awa.schema_migrations') IS NOT NULL AS known
