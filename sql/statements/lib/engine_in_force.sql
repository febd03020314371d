-- SPDX-License-Identifier: MIT
-- Which engine is in force, and was it applied by an awa that is newer than version $1?
-- returns: checksum text, version text, newer boolean; no row before the first engine
SELECT e.checksum, e.version,
       string_to_array(e.version, '.')::int[] > string_to_array($1::text, '.')::int[] AS newer
  FROM awa.schema_engine AS e
