-- SPDX-License-Identifier: MIT
-- Record that the engine with checksum $1 is in force.
INSERT INTO awa.schema_engine (checksum)
VALUES ($1::text)
    ON CONFLICT (one) DO UPDATE
   SET checksum = excluded.checksum, applied_at = clock_timestamp()
