#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo: examples/demo.c.
. "$(dirname "$0")/../support/cli.sh"

demo=$2
dsn=$("$awa" dev start --quiet)

run_demo() {
    "$demo" --dsn "$dsn" "$@"
}

ask() {
    "$awa" dev psql -- -XqAtc "$1" </dev/null
}

# Worker processes of a demo on our cluster.
workers() {
    grep -lazs "^AWA_DEMO_CONNINFO=.*$AWA_DEV_DIR" /proc/[0-9]*/environ
}

no_worker_is_left() {
    equal "$(workers)" ""
}

demo_databases() {
    ask "SELECT count(*) FROM pg_database WHERE datname = 'awa_demo'"
}

# holds COMMAND...: it must succeed.
holds() {
    "$@" && return
    echo "does not hold: $*"
    exit 1
}

some_workers() {
    [ -n "$(workers)" ]
}

no_workers() {
    [ -z "$(workers)" ]
}

# A demo in the background, up to the moment when its workers are there.
begin_demo() {
    env --default-signal=INT "$demo" --dsn "$dsn" "$@" >"$work/background" 2>&1 &
    background=$!
    trap 'kill -KILL $background 2>/dev/null || true' EXIT # a test is a shell of its own
    wait_until 20 grep -q "workers 1 alive" "$work/background"
    wait_until 20 some_workers
}

ends_with() {
    local code=0
    wait "$background" || code=$?
    trap - EXIT
    equal "$code" "$1"
}

it_proves_what_it_did() {
    exits 0 run_demo 300
    equal "$err" ""
    contains "$out" "killed with SIGKILL while holding"
    contains "$out" "what it held runs again: the first job after"
    contains "$out" "of 312"
    contains "$out" "the two are            equal; "
    contains "$out" "312, each with exactly one end: 300 completed, 12 failed"
    contains "$out" "12 enqueued, 12 failed after 3 attempts"
    contains "$out" "passed; look around: psql"
    equal "${out//$'\033'/}" "$out"
    no_worker_is_left
}

any_name_is_fine() {
    local dir=$work/below
    mkdir -p "$dir/deep er" "$dir/none"
    printf one >"$dir/ \"quoted\" %41 \\ back"
    printf two >"$dir/"$'new\nline'
    printf three >"$dir/"$'no \xff utf-8'
    printf four >"$dir/deep er/{\"url\": \"file:"
    : >"$dir/deep er/empty"
    mkfifo "$dir/pipe"
    ln -s /nowhere "$dir/link"
    exits 0 run_demo --below "$dir"
    contains "$out" "recount                        5            15 "
    contains "$out" "6, each with exactly one end: 5 completed, 1 failed"
}

a_terminal_gets_a_picture() {
    local widest
    COLUMNS=60 NO_COLOR=1 TERM=xterm LC_ALL=C \
        script -qec "'$demo' --dsn '$dsn' 100" /dev/null </dev/null >"$work/picture"
    holds grep -q $'\033\\[5A' "$work/picture"
    holds grep -q '####' "$work/picture"
    equal "$(grep -c $'\033\\[3' "$work/picture")" 0
    widest=$(grep -E '#|jobs/s now|available' "$work/picture" | tr -d '\r' |
        sed $'s/\033\\[[0-9]*[A-Z]//g' | wc -L)
    holds [ "$widest" -le 60 ]
    holds [ "$widest" -ge 50 ]
}

ctrl_c_leaves_nothing() {
    begin_demo
    kill -INT "$background"
    ends_with 130
    no_worker_is_left
    equal "$(demo_databases)" 0
}

workers_die_with_their_parent() {
    begin_demo
    kill -KILL "$background"
    ends_with 137
    wait_until 5 no_workers
}

only_one_runs_at_a_time() {
    begin_demo
    exits 1 run_demo 10
    contains "$err" "another demo is running"
    kill -TERM "$background"
    ends_with 143
}

a_database_of_somebody_else_is_left_alone() {
    ask 'DROP DATABASE IF EXISTS awa_demo WITH (FORCE)'
    ask 'CREATE DATABASE awa_demo'
    exits 1 run_demo 10
    contains "$err" "that no demo has made"
    equal "$(demo_databases)" 1
    ask 'DROP DATABASE awa_demo'
}

a_lost_worker_is_a_failure() {
    begin_demo
    kill -KILL "$(workers | head -n 1 | cut -d / -f 3)"
    ends_with 1
    contains "$(cat "$work/background")" "nobody asked it to"
    no_worker_is_left
}

output_that_is_closed_ends_it() {
    run_demo | head -n 2 >/dev/null
    equal "${PIPESTATUS[0]}" 1
    no_worker_is_left
}

usage_errors_exit_with_2() {
    local args
    for args in 0 -1 x 1x 999999999 '1 2' --nonsense; do
        # shellcheck disable=SC2086 # several words
        exits 2 "$demo" $args
        equal "$out" ""
    done
    exits 1 run_demo --below /nowhere
    contains "$err" "/nowhere: No such file"
}

run_tests it_proves_what_it_did any_name_is_fine a_terminal_gets_a_picture ctrl_c_leaves_nothing \
    workers_die_with_their_parent only_one_runs_at_a_time \
    a_database_of_somebody_else_is_left_alone a_lost_worker_is_a_failure \
    output_that_is_closed_ends_it usage_errors_exit_with_2
