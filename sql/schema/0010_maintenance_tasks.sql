-- SPDX-License-Identifier: MIT
-- Whether maintenance succeeds, as its leaders have noted it.
CREATE TABLE awa.maintenance_tasks (
    task text PRIMARY KEY CHECK (octet_length(task) BETWEEN 1 AND 100), -- the statement's name
    succeeded_at timestamptz, -- all times: of the last note about it
    failing_since timestamptz, -- NULL: the last one succeeded
    failed_at timestamptz,
    error text CHECK (octet_length(error) <= 1000)) -- of failed_at
WITH (fillfactor = 50);

-- Its rows are deleted, and where a publication has all tables, PostgreSQL refuses that for one that
-- cannot say which row it was.
ALTER TABLE awa.ring_carries REPLICA IDENTITY FULL;
