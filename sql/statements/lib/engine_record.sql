-- SPDX-License-Identifier: MIT
-- Record that awa version $2 has put the engine with checksum $1 in force.
INSERT INTO awa.schema_engine (checksum, version)
VALUES ($1::text, $2::text)
    ON CONFLICT (one) DO UPDATE
   SET checksum = excluded.checksum, version = excluded.version, applied_at = clock_timestamp()
