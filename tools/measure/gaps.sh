#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How long a claim of one job takes beside 1,000 gaps whose owner may still live: 1,000 inserts were rolled
# back, between others, while a transaction with a job of its own stays open. Prints ms: median and p99.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

sql -c "SELECT awa.insert_job('first')" >/dev/null
{
    echo "BEGIN; SELECT awa.insert_job('held');"
    sleep 60
} | sql >/dev/null 2>&1 &
holder=$!
trap 'kill $holder 2>/dev/null; drop' EXIT
until [ "$(sql <<<"SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")" = 1 ]; do
    sleep 0.1
done

for ((i = 0; i < 1000; i++)); do
    echo "BEGIN; SELECT awa.insert_job('lost'); ROLLBACK; SELECT awa.insert_job('kept');"
done | sql >/dev/null

sql <<'SQL'
SELECT awa.register_worker(7, 'w', '{default}', p_session => false) \gset
SELECT count(*) AS claimed FROM awa.claim_jobs(7, 'default', 10000) \gset
CREATE TABLE took (ms float8);
CREATE PROCEDURE claims(p_n int)
LANGUAGE plpgsql AS $$
DECLARE
    v_began timestamptz;
    v_job record;
BEGIN
    FOR i IN 1 .. p_n LOOP
        PERFORM awa.insert_job('k');
        COMMIT;
        v_began := clock_timestamp();
        SELECT c.* INTO v_job FROM awa.claim_jobs(7, 'default', 1) AS c;
        INSERT INTO took VALUES (extract(epoch FROM clock_timestamp() - v_began) * 1000);
        COMMIT;
        PERFORM awa.complete_jobs(7, ARRAY[v_job.ready_slot], ARRAY[v_job.claim_id],
                                  ARRAY[int8multirange(int8range(v_job.pos, v_job.pos + 1))]);
        COMMIT;
    END LOOP;
END
$$;
CALL claims(600);
SELECT format('%s gaps; a claim took %s ms in the median, %s ms at p99',
              (SELECT sum((SELECT count(*) FROM unnest(g.gaps))) FROM awa.lane_gaps AS g),
              round((percentile_cont(0.5) WITHIN GROUP (ORDER BY ms))::numeric, 2),
              round((percentile_cont(0.99) WITHIN GROUP (ORDER BY ms))::numeric, 2))
  FROM took;
SQL
