#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa work on a host that cannot start programs: jobs go back as they came.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

# What a test that failed has left running.
end_workers() {
    local pid
    while read -r pid; do
        kill -9 "$pid" 2>/dev/null
    done <"$work/workers"
}
trap 'end_workers; tidy_up' EXIT
touch "$work/workers"

# start_worker NAME OPTION...: in the background; its number is $worker, what it says in $work/NAME.
start_worker() {
    local name=$1
    shift
    "$awa" work --name "$name" "$@" </dev/null >/dev/null 2>"$work/$name" &
    worker=$!
    echo $worker >>"$work/workers"
}

# insert_once QUEUE N: jobs that have one attempt.
insert_once() {
    local i
    for ((i = 0; i < $2; i++)); do
        printf '{"kind": "x", "queue": "%s", "max_attempts": 1}\n' "$1"
    done | "$awa" job insert - --quiet
}

# are N QUEUE STATE: how many jobs.
are() {
    [ "$(sql "SELECT count(*) FROM awa.jobs WHERE queue = '$2' AND state = '$3'")" = "$1" ]
}

says() {
    grep -q "$2" "$work/$1"
}

# untouched QUEUE: no job has used up an attempt, or learned of an error.
untouched() {
    equal "$(sql "SELECT count(*) FROM awa.jobs WHERE queue = '$1'
                  AND (state IN ('failed', 'retryable') OR errors IS NOT NULL
                       OR (attempt > 0 AND state NOT IN ('running', 'completed')))")" 0
}

without_descriptors_jobs_go_to_a_worker_that_has_some() {
    insert_once narrow 20
    ulimit -Sn 40 # the soft limit only
    start_worker sick --queue narrow --threads 16 --exec 'sleep 0.2'
    wait_until 10 says sick 'jobs cannot be begun here and are given back: exec: .*Too many open files'
    untouched narrow
    ulimit -Sn 1000
    start_worker well --queue narrow --threads 4 --exec 'sleep 0.01'
    wait_until 30 are 20 narrow completed
    equal "$(sql "SELECT DISTINCT attempt FROM awa.jobs WHERE queue = 'narrow'")" 1
}

it_goes_on_by_itself_when_the_limit_is_lifted() {
    insert_once lifted 20
    ulimit -Sn 26 # enough for its sessions
    start_worker lifted --queue lifted --threads 16 --no-leader --exec true
    wait_until 10 says lifted 'Too many open files'
    are 0 lifted failed
    prlimit --pid "$worker" --nofile=1000:
    wait_until 30 are 20 lifted completed
    says lifted 'jobs can be begun again'
}

a_missing_program_burns_no_attempt() {
    insert_once missing 20
    start_worker missing --queue missing --threads 4 --exec "$work/program" -- x
    wait_until 10 says missing "cannot run $work/program: No such file"
    # It tries one job now and then, with growing pauses, and says so once a minute.
    wait_until 10 [ "$(sql "SELECT last_value FROM awa.claim_ids")" -gt 2 ]
    are 20 missing available
    untouched missing
    equal "$(grep -c 'cannot run' "$work/missing")" 1
    printf '#!/bin/sh\nexit 0\n' >"$work/program"
    chmod +x "$work/program"
    wait_until 30 are 20 missing completed
    says missing 'jobs can be begun again'
}

until_empty_ends_all_the_same() {
    insert_once stuck 1
    run_jobs --queue stuck --exec "/nonexistent/program x" # for which it takes no shell
    are 1 stuck available
    untouched stuck
    contains "$(cat "$work/worker")" "cannot run /nonexistent/program: No such file"
}

run_tests without_descriptors_jobs_go_to_a_worker_that_has_some \
    it_goes_on_by_itself_when_the_limit_is_lifted a_missing_program_burns_no_attempt \
    until_empty_ends_all_the_same
