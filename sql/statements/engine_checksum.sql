-- SPDX-License-Identifier: MIT
-- Which engine is in force.
-- returns: checksum text; no row before the first
SELECT e.checksum
  FROM awa.schema_engine AS e
