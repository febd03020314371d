#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Through pgbouncer in transaction mode. All share one session of the server: whatever anybody
# left in it, and whatever anybody expects to find there, would show at once.
AWA_TEST_POOLER=1
POOLER_SIZE=1
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

pooled() {
    psql "$AWA_DATABASE_URL" -XqAtc "$1" </dev/null
}

# What a test that failed has left running.
end_workers() {
    local pid
    while read -r pid; do
        kill -9 "$pid" 2>/dev/null
    done <"$work/workers"
}
trap 'end_workers; tidy_up' EXIT
touch "$work/workers"

# start_worker OPTION...: in the background, as $worker; what it says is in $work/worker.
start_worker() {
    "$awa" work "$@" </dev/null >/dev/null 2>"$work/worker" &
    worker=$!
    echo $worker >>"$work/workers"
}

stop_worker() {
    local code=0
    kill -TERM "$worker"
    wait "$worker" || code=$?
    equal "$code" 0
}

answers_to() {
    "$awa" worker list --json </dev/null | grep -q "\"name\": \"$1\""
}

# Notices that a command or a worker was there, and that none of it was left behind.
nothing_is_left_in_the_session() {
    equal "$(pooled "SELECT string_agg(name || '=' || setting, ' ') FROM pg_settings
                      WHERE source = 'session'
                        AND name NOT IN ('client_encoding', 'application_name')")" ""
    equal "$(pooled 'SELECT count(*) FROM pg_prepared_statements')" 0
    equal "$(pooled 'SELECT count(*) FROM pg_listening_channels()')" 0
    equal "$(sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")" 0
}

a_migration_goes_through() {
    sql 'CREATE DATABASE other'
    exits 0 "$awa" migrate --dsn "$AWA_DATABASE_URL dbname=other"
    equal "$("$awa" job insert --dsn "$AWA_DATABASE_URL dbname=other" --kind x)" 1
}

jobs_are_copied_and_run_without_a_complaint() {
    python3 -c 'print("{\"kind\": \"x\"}\n" * 300, end="")' |
        "$awa" job insert - --quiet --queue many
    run_jobs --queue many --threads 4 --batch 10 --exec true
    equal "$(sql "SELECT count(*) FROM awa.jobs WHERE queue = 'many' AND state = 'completed'")" 300
    equal "$(cat "$work/worker")" "awa: work: 300 jobs completed, 0 ended otherwise, 0 given back"
    nothing_is_left_in_the_session
}

two_workers_share_the_session() {
    local first second id
    start_worker --queue shared --name one --exec 'printf "job $AWA_JOB_ID"'
    first=$worker
    start_worker --queue shared --name two --exec 'printf "job $AWA_JOB_ID"'
    second=$worker
    wait_until 10 answers_to one
    wait_until 10 answers_to two
    for _ in 1 2 3; do
        id=$(insert --kind x --queue shared)
        wait_state 10 "$id" completed
        equal "$(job "$id" attempt output.stdout)" "1|job $id"
    done
    nothing_is_left_while_they_run
    worker=$first stop_worker
    worker=$second stop_worker
    nothing_is_left_in_the_session
}

# Locks of the moment come and go; none is held for a worker.
nothing_is_left_while_they_run() {
    equal "$(pooled 'SELECT count(*) FROM pg_prepared_statements')" 0
    equal "$(pooled 'SELECT count(*) FROM pg_listening_channels()')" 0
    equal "$(sql 'SELECT count(*) FROM awa.workers WHERE session')" 0
}

what_is_due_later_is_promoted() {
    local id
    start_worker --queue later --exec true
    id=$(insert --kind x --queue later --delay 1s)
    wait_state 15 "$id" completed
    stop_worker
}

a_job_is_cancelled_while_it_runs() {
    local id
    start_worker --queue cancelled --exec "touch $work/runs; exec sleep 1000"
    id=$(insert --kind x --queue cancelled)
    wait_until 10 test -e "$work/runs"
    exits 0 "$awa" job cancel "$id"
    wait_state 10 "$id" cancelled
    stop_worker
}

the_job_of_a_killed_worker_runs_again_after_its_lease() {
    local id first
    sql "UPDATE awa.settings SET worker_lease = '5 s'"
    id=$(insert --kind x --queue rescue)
    start_worker --queue rescue --exec "echo \$\$ >$work/orphan; exec sleep 1000"
    first=$worker
    wait_until 10 test -s "$work/orphan"
    kill -KILL "$first"
    start_worker --queue rescue --exec "printf again"
    wait_state 20 "$id" completed
    equal "$(job "$id" attempt output.stdout errors.0.outcome)" "2|again|rescued"
    contains "$(job "$id" errors.0.error)" "was silent since"
    stop_worker
}

run_tests a_migration_goes_through jobs_are_copied_and_run_without_a_complaint \
    two_workers_share_the_session what_is_due_later_is_promoted a_job_is_cancelled_while_it_runs \
    the_job_of_a_killed_worker_runs_again_after_its_lease
