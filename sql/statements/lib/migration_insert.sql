-- SPDX-License-Identifier: MIT
-- Record that schema file $2, number $1, with checksum $3 was applied.
INSERT INTO awa.schema_migrations (version, name, checksum)
VALUES ($1::int, $2::text, $3::text)
