#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each role can do its part with the commands, and no more.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

for role in producer bulk_producer worker operator viewer; do
    sql "CREATE ROLE test_$role LOGIN; GRANT awa_$role TO test_$role"
done

# as ROLE CODE ARGUMENT...: runs awa with the rights of that role; see exits.
as() {
    local role=$1 code=$2
    shift 2
    exits "$code" "$awa" --dsn "$AWA_DATABASE_URL user=test_$role" "$@"
}

a_producer_inserts() {
    as producer 0 job insert --kind x --unique-key k --tag t
    as producer 1 job list
    contains "$err" "permission denied"
    as producer 1 job cancel 1
    as producer 1 work --exec true
}

# Every verb on history, and what it wants.
verbs=("job retry 1" "job retry --failed --all" "job discard --all" "job delete 1" "dlq retry 1"
    "dlq retry --all" "dlq move 1" "dlq move --all" "dlq purge --all" "queue set default --dlq on"
    "storage rebuild-terminal-counters" "storage reset --yes nowhere")

who_may_not_change_history_is_told_so() {
    local role verb
    for role in producer bulk_producer worker viewer; do
        for verb in "${verbs[@]}"; do
            # shellcheck disable=SC2086
            as $role 1 $verb
            contains "$err" "permission denied for "
            contains "$err" "; the login needs another role of awa"
        done
    done
    for verb in "dlq list" "dlq show 1" "dlq depth" "job dump 1" "queue stats --fast"; do
        # shellcheck disable=SC2086
        as producer 1 $verb
        contains "$err" "the login needs another role of awa"
    done
    equal "$(sql "SELECT count(*) FROM awa.jobs WHERE state = 'available'")" 1
}

a_bulk_producer_copies() {
    python3 -c 'print("{\"kind\": \"x\"}\n" * 10, end="")' |
        "$awa" job insert - --quiet --dsn "$AWA_DATABASE_URL user=test_bulk_producer"
    equal "$(sql "SELECT count(*) FROM awa.jobs")" 11
    as bulk_producer 1 queue pause default
}

a_viewer_looks() {
    local command
    for command in "job list" "job show 1" "job explain 1" "queue list" "queue stats" \
        "queue stats --fast" "job dump 1" "dlq list --from 1h" "dlq depth" "worker list" \
        "storage status"; do
        # shellcheck disable=SC2086
        as viewer 0 $command
        # shellcheck disable=SC2086
        as viewer 0 $command --json
    done
    as viewer 1 health
    contains "$out" workers
    as viewer 1 job retry 1
    contains "$err" "permission denied"
    as viewer 1 job insert --kind x
    as viewer 1 queue drain default --yes
}

an_operator_changes() {
    as operator 0 job insert --kind x
    as operator 0 job cancel "$out"
    as operator 0 queue pause default
    as operator 0 queue resume default
    as operator 0 queue set default --deadline 1m
    as operator 0 queue drain default --dry-run
    as operator 0 job explain 1
    as operator 0 job retry --failed --all
    as operator 0 job discard --queue default
    as operator 0 dlq move --all
    as operator 0 dlq retry --all --in 1h --from 1h
    as operator 0 dlq purge --all --dry-run
    as operator 3 dlq retry 1
    as operator 3 job delete 999999999
    as operator 0 storage rebuild-terminal-counters
    as operator 2 storage reset --yes nowhere
    as operator 1 work --exec true
}

who_has_no_role_is_told_so() {
    sql "CREATE ROLE test_nobody LOGIN"
    as nobody 1 job list
    contains "$err" "permission denied for schema awa; the login needs another role of awa"
    as nobody 1 work --exec true
    contains "$err" "needs another role of awa"
    as viewer 1 queue pause default
    contains "$err" "permission denied for function pause_queue; the login needs another role"
}

a_worker_works() {
    as worker 0 work --until-empty --exec true
    equal "$(sql "SELECT string_agg(DISTINCT state::text, ' ' ORDER BY state::text)
                    FROM awa.jobs")" "cancelled completed"
    as worker 1 job list
    as worker 1 job cancel 1
}

run_tests a_producer_inserts who_may_not_change_history_is_told_so a_bulk_producer_copies \
    a_viewer_looks an_operator_changes \
    who_has_no_role_is_told_so a_worker_works
