#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What 100,000 queues with one job each cost. Prints ms for each statement.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# timed WHAT SQL: in a session of its own, so that it pays for its plans as well.
timed() {
    printf '%-55s' "$1"
    psql -Xqd "$database" -v ON_ERROR_STOP=1 -c '\timing on' -c "$2" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

for i in 0 1 2 3 4; do
    timed "20000 jobs, each in a new queue" \
        "SELECT count(id) FROM awa.insert_jobs(array_fill('k'::text, '{20000}'), p_queues =>
                ARRAY(SELECT 'q' || i FROM generate_series($i * 20000 + 1, $i * 20000 + 20000) AS i))"
done
timed "a job in a queue that is there" "SELECT awa.insert_job('k', p_queue => 'q77777')"
timed "a worker of 1000 queues" "SELECT awa.register_worker(7, 'w',
        ARRAY(SELECT 'q' || i FROM generate_series(1, 1000) AS i), p_session => false)"
timed "a claim" "SELECT count(*) FROM awa.claim_jobs(7, 'q500', 10)"
timed "a heartbeat that asks for work in 1000 queues" \
    "SELECT ready FROM awa.heartbeat('{7}', ARRAY(SELECT 'q' || i FROM generate_series(1, 1000) AS i))"
timed "counts of a queue" "SELECT available FROM awa.queue_counts('q77777')"
timed "counts of all" "SELECT count(*) FROM awa.queue_counts()"
timed "gauges of all" "SELECT count(*) FROM awa.queue_counts_fast()"
timed "health" "SELECT count(*) FROM awa.health()"
timed "a turn of the ring" "SELECT awa.turn_ring()"
timed "a rotation" "SELECT awa.rotate_ring(true)"
timed "heads of a sealed slot" "SELECT awa.checkpoint_heads(0::smallint)"
timed "10000 jobs carried into the next slot" "SELECT awa.carry_forward(0::smallint)"
psql -XAqtd "$database" -c "SELECT pg_size_pretty(pg_database_size(current_database()))"
