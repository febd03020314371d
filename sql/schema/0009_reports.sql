-- SPDX-License-Identifier: MIT
-- What is reported every second or two, appended and truncated with the heartbeats: how many jobs each
-- worker holds, and counts for gauges, which the leader makes for everybody.

CREATE TYPE awa.gauge AS (
    queue text,
    available bigint,
    deferred bigint,
    running bigint,
    completed bigint,
    failed bigint,
    cancelled bigint,
    dead_lettered bigint);

ALTER TABLE awa.worker_beats -- worker_id 0: the leader's report
    ADD queues text[],
    ADD held int[], -- jobs of queues[i]; NULL: it did not say
    ADD gauges awa.gauge[];

-- A lane that nobody needs any more goes through these: sealed, so that no producer takes it; retired,
-- when nothing of it is left but its head, which is then no longer kept; gone.
ALTER TABLE awa.lanes ADD retired boolean NOT NULL DEFAULT false;
