#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A database that was dumped and restored, or copied, with jobs in every state: after `awa migrate`
# each of them ends once, and is counted right. With --pg N the copies go to a server of that version,
# from one of the version that pg_dump has.
. "$(dirname "$0")/../support/cli.sh"

major=$(pg_dump --version | grep -oE '[0-9]+' | head -n 1)
here=$AWA_DEV_DIR                       # the server that is dumped
there=${AWA_DEV_DIR%-*}-there-$$        # another cluster
physical=${AWA_DEV_DIR%-*}-physical-$$  # a copy of the first one's files
trap 'for dir in "$here" "$there" "$physical"; do AWA_DEV_DIR=$dir tidy_up; done' EXIT

# start DIR: sets $dsn.
start() {
    local bindir=/usr/lib/postgresql/$major/bin
    if [ "$1" = "$there" ] || [ ! -d "$bindir" ]; then
        bindir=${AWA_PG_BINDIR:-}
    fi
    dsn=$(env ${bindir:+AWA_PG_BINDIR="$bindir"} "$awa" dev start --quiet --dir "$1")
    dsn=${dsn% dbname=*}
}

start "$here"
from="$dsn dbname=shop"
on_here="$dsn dbname=postgres"
start "$there"
on_there="$dsn dbname=postgres"

# sql DSN TEXT...: each in a transaction of its own.
sql() {
    local to=$1
    shift
    psql -XqAt -v ON_ERROR_STOP=1 -d "$to" "${@/#/--command=}" </dev/null
}

# Ids of jobs, one a line, in order.
ids() {
    sql "$1" "SELECT j.id FROM awa.jobs AS j WHERE j.$2 ORDER BY j.id::text COLLATE \"C\""
}

a_database_has_jobs_in_every_state() {
    local n
    # Transaction ids of which the other cluster knows nothing.
    sql "$on_here" "DO \$\$BEGIN FOR i IN 1 .. 20000 LOOP PERFORM pg_current_xact_id(); COMMIT;
                    END LOOP; END\$\$"
    sql "$on_here" "CREATE DATABASE shop"
    exits 0 "$awa" migrate --dsn "$from" --quiet
    exits 0 "$awa" queue set dead --dlq on --dsn "$from"
    sql "$from" "SELECT awa.insert_job('k', p_queue => 'past') FROM generate_series(1, 60);
                 SELECT awa.insert_job('k', p_queue => 'dead') FROM generate_series(1, 3)" >/dev/null
    finish past 3
    finish dead 1
    equal "$(sql "$from" "SELECT awa.rotate_ring(true)")" 1
    sql "$from" "SELECT awa.turn_ring()" >/dev/null # folds
    for n in $(ids "$from" "state = 'failed'" | head -n 4); do
        exits 0 "$awa" job retry "$n" --dsn "$from"
    done
    sql "$from" "SELECT awa.insert_job('k', p_queue => 'live', p_unique_key => 'one')" >/dev/null
    # With gaps, which an open transaction owns.
    sql "$from" "BEGIN; SELECT awa.insert_job('k', p_queue => 'live'); SELECT pg_sleep(60)" \
        >/dev/null 2>&1 &
    wait_until 10 is_open
    for n in 1 2 3; do
        sql "$from" "BEGIN; SELECT awa.insert_job('k', p_queue => 'live'); ROLLBACK" >/dev/null
        sql "$from" "SELECT awa.insert_job('k', p_queue => 'live') FROM generate_series(1, 5);
                     SELECT awa.insert_job('k', p_queue => 'live', p_delay => '2 s')" >/dev/null
        sql "$from" "SELECT awa.register_worker($n, 'lost', ARRAY['live'])" \
            "SELECT count(*) FROM awa.claim_jobs($n, 'live', 2)" >/dev/null
    done
    sql "$from" "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep\(60'" \
        >/dev/null
    wait
    equal "$(sql "$from" "SELECT string_agg(format('%s %s', s.state, s.n), ' ' ORDER BY s.state)
                            FROM (SELECT j.state, count(*) AS n FROM awa.jobs AS j
                                   GROUP BY j.state) AS s")" \
        "scheduled 3 available 14 running 6 completed 40 failed 19"
    equal "$(sql "$from" "SELECT count(*) > 0 FROM awa.claims AS c, unnest(c.gaps) AS g
                           WHERE cardinality(g.owners) > 0")" t
    ids "$from" "state IN ('available', 'scheduled', 'running')" >"$work/living"
    ids "$from" "state = 'failed' AND j.dlq_at IS NULL" | head -n 6 >"$work/failed"
}

is_open() {
    [ "$(sql "$from" "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")" = 1 ]
}

# finish QUEUE N: all jobs of the queue end, every N-th of them failed.
finish() {
    local worker
    worker=$(date +%s%N)
    sql "$from" "SELECT awa.register_worker($worker, 'past', ARRAY['$1']);
        SELECT count(k.*) FROM (
            SELECT array_agg(c.ready_slot) AS slots, array_agg(c.claim_id) AS claims,
                   array_agg(c.pos) AS positions,
                   array_agg(CASE WHEN c.id % $2 = 0 THEN 'failed' ELSE 'completed' END) AS outcomes,
                   array_agg('no luck'::text) AS errors
              FROM awa.claim_jobs($worker, '$1', 100) AS c) AS c,
              awa.close_jobs($worker, c.slots, c.claims, c.positions, c.outcomes, c.errors) AS k;
        SELECT awa.deregister_worker($worker)" >/dev/null
}

# ---- What must be true of each copy -----------------------------------------------------------

counts_are_right() {
    exits 0 "$awa" storage rebuild-terminal-counters --check --dsn "$1"
}

# has_run FILE: each of the jobs in it has run.
has_run() {
    [ -z "$(sort "$work/ran" | comm -13 - "$1")" ]
}

# is_completed DSN ID
is_completed() {
    [ "$(sql "$1" "SELECT state FROM awa.get_job($2)")" = completed ]
}

# none_lives DSN
none_lives() {
    [ -z "$(ids "$1" "state NOT IN ('completed', 'failed')")" ]
}

# works DSN: migrated; each living job runs once, as do a new one and failed ones that are retried.
works() {
    local worker id new began
    exits 0 "$awa" migrate --check --dsn "$1"
    equal "$out" "nothing differs"
    counts_are_right "$1"
    : >"$work/ran"
    timeout 60 "$awa" work --dsn "$1" --queue live --queue past \
        --exec "echo \$AWA_JOB_ID >>$work/ran" </dev/null >"$work/worker" 2>&1 &
    worker=$!
    new=$("$awa" job insert --kind k --queue live --dsn "$1" </dev/null)
    wait_until 5 is_completed "$1" "$new"
    wait_until 30 has_run "$work/living"
    while read -r id; do
        exits 0 "$awa" job retry "$id" --dsn "$1"
    done <"$work/failed"
    wait_until 10 has_run "$work/failed"
    wait_until 10 none_lives "$1"
    kill "$worker"
    wait "$worker" || true # ended by a signal
    cat "$work/living" "$work/failed" <(echo "$new") | sort >"$work/all"
    equal "$(sort "$work/ran" | diff - "$work/all")" ""
    counts_are_right "$1"
    exits 0 "$awa" migrate --check --dsn "$1"
    began=$SECONDS # gaps are forgotten, not searched for ever
    exits 0 "$awa" work --until-empty --queue live --dsn "$1" --exec true
    [ $((SECONDS - began)) -le 2 ] || { echo "an idle queue is searched"; exit 1; }
}

# migrates DSN WORD...: says all of these, and that it mended them.
migrates() {
    local to=$1 word
    shift
    exits 1 "$awa" migrate --check --dsn "$to"
    exits 0 "$awa" migrate --dsn "$to"
    for word in "$@" mended; do
        contains "$out" "$word"
    done
}

# ---- Copies -----------------------------------------------------------------------------------

# The database's owner has CREATEROLE and nothing else; the cluster knows no role of awa.
a_dump_without_owners_and_rights() {
    local to="${on_there%% user=*} user=keeper dbname=kept"
    sql "$on_there" "CREATE ROLE keeper LOGIN CREATEROLE" "CREATE DATABASE kept OWNER keeper"
    pg_dump -Fc -d "$from" >"$work/dump"
    pg_restore --no-owner --no-acl --exit-on-error -d "$to" "$work/dump"
    exits 1 "$awa" migrate --check --json --dsn "$to"
    equal "$(grep changed <<<"$out")" "" # each function comes back as it was
    contains "$out" '{"what" : "role awa_owner", "detail" : "missing"}'
    contains "$out" '{"what" : "owner keeper", "detail" : '
    migrates "$to" "role awa_viewer: missing" "owner keeper: " "database: " "transaction ids: "
    equal "$(sql "$to" "SELECT has_function_privilege('awa_viewer', 'awa.cancel_job(bigint, text)',
                                                      'EXECUTE')")" f
    works "$to"
}

# On 16 and newer, who has not made awa_owner cannot become it.
a_second_login_migrates_its_own_database() {
    local to="${on_there%% user=*} user=second dbname=second"
    sql "$on_there" "CREATE ROLE second LOGIN CREATEROLE" "CREATE DATABASE second OWNER second"
    if [ "$(sql "$on_there" "SELECT current_setting('server_version_num')::int >= 160000")" = t ]; then
        exits 1 "$awa" migrate --dsn "$to"
        contains "$err" "login second: may not become awa_owner"
        contains "$err" "GRANT awa_owner TO second"
        equal "$(sql "$to" "SELECT count(*) FROM pg_namespace WHERE nspname = 'awa'")" 0
        exits 0 "$awa" migrate --roles --dsn "$to"
        psql -Xq -v ON_ERROR_STOP=1 -d "$on_there" -c "$out"
    fi
    exits 0 "$awa" migrate --dsn "$to"
    exits 0 "$awa" migrate --check --dsn "$to"
    sql "$to" "CREATE ROLE clerk LOGIN; GRANT awa_producer TO clerk"
    exits 0 "$awa" job insert --kind k --dsn "${to/user=second/user=clerk}"
}

# Who may make no role is told what to have made; with the roles it needs nothing more.
a_login_without_createrole() {
    local to="${on_here%% user=*} user=plain dbname=plain"
    sql "$on_here" "CREATE ROLE plain LOGIN" "CREATE DATABASE plain"
    exits 1 "$awa" migrate --dsn "$to"
    contains "$err" "awa migrate --roles"
    exits 0 "$awa" migrate --roles --dsn "$to"
    psql -Xq -v ON_ERROR_STOP=1 -d "$on_here" -c "$out"
    psql -Xq -v ON_ERROR_STOP=1 -d "$on_here" -c "$out" # may be run again
    exits 0 "$awa" migrate --dsn "$to"
    exits 0 "$awa" migrate --check --dsn "$to"
}

a_dump_in_another_cluster() {
    local to="${on_there% dbname=*} dbname=plainly"
    sql "$on_there" "CREATE DATABASE plainly"
    pg_dump -d "$from" | psql -Xq -v ON_ERROR_STOP=1 -d "$to" >/dev/null
    migrates "$to" "database: " "transaction ids: "
    works "$to"
}

# What was written between the restore and the migration is counted, too.
a_dump_that_was_used_before_it_was_migrated() {
    local to="${on_there% dbname=*} dbname=early" id kept=$work
    sql "$on_there" "CREATE DATABASE early"
    pg_dump -Fc -d "$from" | pg_restore -d "$to"
    id=$(tail -n 1 "$work/failed")
    exits 0 "$awa" job retry "$id" --dsn "$to"
    exits 1 "$awa" storage rebuild-terminal-counters --check --dsn "$to"
    work=$work/early
    mkdir "$work"
    head -n -1 "$kept/failed" >"$work/failed"
    sort "$kept/living" <(echo "$id") >"$work/living"
    migrates "$to" "transaction ids: "
    works "$to"
}

a_dump_in_the_same_cluster() {
    local to="${on_here% dbname=*} dbname=again"
    sql "$on_here" "CREATE DATABASE again"
    pg_dump -d "$from" | psql -Xq -v ON_ERROR_STOP=1 -d "$to" >/dev/null
    migrates "$to" "database: "
    works "$to"
}

a_copy_by_createdb() {
    local to="${on_here% dbname=*} dbname=twin"
    createdb --maintenance-db="$on_here" -T shop twin
    migrates "$to" "database: "
    works "$to"
}

# The same cluster once more: nothing differs.
a_copy_of_the_files() {
    start "$physical"
    local to="$dsn dbname=shop"
    exits 0 "$awa" dev stop --dir "$physical"
    rm -rf "$physical/data"
    pg_basebackup -d "$on_here" -D "$work/base" --checkpoint=fast
    mv "$work/base" "$physical/data"
    chown -R --reference="$physical" "$physical/data"
    start "$physical"
    exits 0 "$awa" migrate --check --dsn "$to"
    exits 0 "$awa" migrate --dsn "$to"
    equal "$out" "nothing to do"
    works "$to"
}

# ---- By hand ----------------------------------------------------------------------------------

what_was_changed_by_hand_is_put_back() {
    local to="${on_here% dbname=*} dbname=handmade"
    sql "$on_here" "CREATE DATABASE handmade"
    exits 0 "$awa" migrate --dsn "$to" --quiet
    sql "$to" "SET client_min_messages = warning;
               CREATE ROLE stranger;
               GRANT SELECT ON awa.claims TO PUBLIC;
               GRANT SELECT ON awa.jobs TO stranger;
               REVOKE EXECUTE ON FUNCTION awa.insert_job FROM awa_producer;
               REVOKE ALL ON FUNCTION awa.insert_jobs FROM awa_owner;
               ALTER TABLE awa.dlq_entries OWNER TO stranger;
               CREATE OR REPLACE FUNCTION awa.slots() RETURNS int LANGUAGE sql RETURN 3;
               DROP FUNCTION awa.wake_leader CASCADE;
               DROP INDEX awa.deferred_jobs_due;
               DROP SEQUENCE awa.worker_numbers;
               ALTER TABLE awa.closures_3 DROP CONSTRAINT closures_3_positions_excl;
               ALTER TABLE awa.settings ALTER slot_age SET DEFAULT '1 min'"
    migrates "$to" "rights +PUBLIC SELECT: TABLE awa.claims" \
        "rights -awa_producer EXECUTE: ROUTINE awa.insert_job(" \
        "rights -awa_owner EXECUTE: ROUTINE awa.insert_jobs(" \
        "owner stranger: TABLE awa.dlq_entries" "ROUTINE awa.slots(): changed" \
        "ROUTINE awa.wake_leader(timestamp with time zone): missing" \
        "INDEX awa.deferred_jobs_due: missing" "SEQUENCE awa.worker_numbers: missing" \
        "CONSTRAINT awa.closures_3.closures_3_positions_excl: missing" \
        "COLUMN awa.settings.slot_age: changed, which is left as it is"
    equal "$(sql "$to" "SELECT has_table_privilege('stranger', 'awa.jobs', 'SELECT')")" t
    exits 1 "$awa" migrate --check --dsn "$to"
    equal "$out" "COLUMN awa.settings.slot_age: changed, which is left as it is"
    sql "$to" "DROP TABLE awa.ring_carries"
    exits 1 "$awa" migrate --dsn "$to"
    contains "$err" "TABLE awa.ring_carries is missing; restore it from a backup"
}

# Sequences and heads, as a logical copy leaves them.
what_lags_behind_the_tables_is_moved_on() {
    local to="${on_here% dbname=*} dbname=behind" last
    createdb --maintenance-db="$on_here" -T shop behind
    exits 0 "$awa" migrate --dsn "$to" --quiet
    last=$(sql "$to" "SELECT max(id) FROM awa.jobs")
    sql "$to" "SELECT setval('awa.job_ids', 1), setval('awa.claim_ids', 1), setval('awa.lane_ids', 1);
               SELECT setval(awa.numbers(l.lane_id), 1) FROM awa.lanes AS l" >/dev/null
    migrates "$to" "sequence awa.job_ids: at 1, while $last is in use" "sequence awa.claim_ids: " \
        "sequence awa.numbers_"
    works "$to"
    [ "$(sql "$to" "SELECT max(id) FROM awa.jobs")" -gt "$last" ]
}

# A claim that another lane's head does not know of: it lies below it, or is gone.
claims_that_a_head_does_not_know_are_not_handed_out_again() {
    local to="${on_here% dbname=*} dbname=headless"
    createdb --maintenance-db="$on_here" -T shop headless
    exits 0 "$awa" migrate --dsn "$to" --quiet
    sql "$to" "UPDATE awa.claims AS c SET cursor = (c.lane_id::bigint << 44) - 1,
                      gaps = NULL"
    migrates "$to" "of queue live: 6 jobs that were claimed would be claimed again"
    works "$to"
}

run_tests a_database_has_jobs_in_every_state a_dump_without_owners_and_rights \
    a_second_login_migrates_its_own_database a_login_without_createrole \
    a_dump_in_another_cluster a_dump_that_was_used_before_it_was_migrated \
    a_dump_in_the_same_cluster a_copy_by_createdb a_copy_of_the_files \
    what_was_changed_by_hand_is_put_back what_lags_behind_the_tables_is_moved_on \
    claims_that_a_head_does_not_know_are_not_handed_out_again
