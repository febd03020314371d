-- SPDX-License-Identifier: MIT
-- The schema files that were applied here, oldest first.
-- returns: version int, name text, checksum text
SELECT m.version, m.name, m.checksum
  FROM awa.schema_migrations AS m
 ORDER BY m.version
