#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The life of the private cluster.
. "$(dirname "$0")/../support/cli.sh"

status() {
    "$awa" dev status --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

ask() {
    "$awa" dev psql -- -XqAtc "$1" </dev/null
}

nothing_is_there_at_first() {
    equal "$(status exists)" False
    exits 0 "$awa" dev stop
    contains "$err" "nothing runs"
    exits 3 "$awa" dev reset --yes
}

two_starts_at_once_make_one_cluster() {
    local first
    "$awa" dev start >"$work/first" &
    first=$!
    "$awa" dev start >"$work/second"
    wait $first
    cmp "$work/first" "$work/second"
    equal "$(status running)" True
}

a_start_prints_how_to_connect() {
    exits 0 "$awa" dev start
    equal "$err" ""
    equal "$(status dsn)" "$out"
    equal "$(ask 'SELECT current_database()')" awa
}

the_cluster_is_durable_and_out_of_reach() {
    equal "$(ask 'SHOW fsync')" on
    equal "$(ask 'SHOW synchronous_commit')" on
    equal "$(ask 'SHOW full_page_writes')" on
    equal "$(ask 'SHOW listen_addresses')" ""
    equal "$(stat -c %a "$AWA_DEV_DIR")" 700
    equal "$(ask 'SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = $$awa$$')" \
        UTF8
}

it_is_not_run_by_root() {
    [ "$(stat -c %u "/proc/$(status pid)")" -ne 0 ]
}

stop_and_start_keep_the_data() {
    ask 'CREATE TABLE kept ()'
    exits 0 "$awa" dev stop
    contains "$err" "stopped"
    equal "$(status running)" False
    equal "$(status pid)" 0
    exits 0 "$awa" dev start
    ask 'SELECT FROM kept'
}

it_survives_kill_9() {
    local pid
    pid=$(status pid)
    kill -9 "$pid"
    wait_until 10 test ! -e "/proc/$pid"
    [ -e "$AWA_DEV_DIR/data/postmaster.pid" ]
    equal "$(status running)" False
    # Backends of the dead server may hold its memory for a moment.
    wait_until 20 "$awa" dev start --quiet
    ask 'SELECT FROM kept'
}

a_pid_file_that_names_somebody_else_fools_nobody() {
    exits 0 "$awa" dev stop
    printf '%s\n' $$ "$AWA_DEV_DIR/data" >"$AWA_DEV_DIR/data/postmaster.pid"
    equal "$(status running)" False
    exits 0 "$awa" dev stop
    exits 0 "$awa" dev start
}

an_initdb_that_was_interrupted_is_done_again() {
    exits 0 "$awa" dev reset --yes
    "$awa" dev start --quiet >/dev/null 2>&1 &
    local pid=$!
    wait_until 20 test -e "$AWA_DEV_DIR/data.new/PG_VERSION"
    kill -9 $pid
    wait $pid 2>/dev/null || true
    # The orphan is still at work, and keeps the lock until it has gone.
    exits 0 "$awa" dev start
    equal "$(ask 'SELECT 1')" 1
    [ ! -e "$AWA_DEV_DIR/data.new" ]
}

the_environment_cannot_lead_elsewhere() {
    PGHOSTADDR=127.0.0.1 PGPORT=1 PGDATABASE=postgres PGUSER=nobody exits 0 \
        "$awa" migrate --dev --dsn host=/nowhere --json
}

a_directory_with_other_files_is_refused() {
    local dir=$work/mine
    mkdir "$dir"
    touch "$dir/precious"
    exits 1 "$awa" dev start --dir "$dir"
    contains "$err" "holds other files"
    exits 3 "$awa" dev reset --yes --dir "$dir"
    [ -e "$dir/precious" ]
}

a_path_that_cannot_work_is_refused() {
    exits 2 "$awa" dev start --dir "/tmp/$(printf 'x%.0s' {1..100})"
    contains "$err" "a socket path allows"
    exits 2 "$awa" dev start --dir "/tmp/with space"
    contains "$err" "only letters"
}

a_server_that_cannot_start_shows_its_log() {
    exits 0 "$awa" dev stop
    echo 'nonsense = on' >>"$AWA_DEV_DIR/data/postgresql.conf"
    exits 1 "$awa" dev start
    contains "$err" 'unrecognized configuration parameter "nonsense"'
    contains "$err" "awa: dev: the server did not start"
    sed -i '/^nonsense/d' "$AWA_DEV_DIR/data/postgresql.conf"
    exits 0 "$awa" dev start
}

missing_programs_are_named() {
    exits 1 env AWA_PG_BINDIR=/nowhere "$awa" dev start --dir "$AWA_DEV_DIR-none"
    contains "$err" "AWA_PG_BINDIR"
    exits 0 "$awa" dev reset --yes --dir "$AWA_DEV_DIR-none"
}

psql_may_come_from_elsewhere_than_the_server() {
    equal "$(AWA_PG_BINDIR=/nowhere "$awa" dev psql -- -XAtc 'SELECT 1' </dev/null)" 1
}

reset_wants_a_yes_and_leaves_nothing() {
    exits 2 "$awa" dev reset
    equal "$(status running)" True
    exits 0 "$awa" dev reset --yes
    [ ! -e "$AWA_DEV_DIR" ]
}

run_tests nothing_is_there_at_first two_starts_at_once_make_one_cluster \
    a_start_prints_how_to_connect the_cluster_is_durable_and_out_of_reach it_is_not_run_by_root \
    stop_and_start_keep_the_data it_survives_kill_9 \
    a_pid_file_that_names_somebody_else_fools_nobody an_initdb_that_was_interrupted_is_done_again \
    the_environment_cannot_lead_elsewhere a_directory_with_other_files_is_refused \
    a_path_that_cannot_work_is_refused a_server_that_cannot_start_shows_its_log \
    missing_programs_are_named psql_may_come_from_elsewhere_than_the_server \
    reset_wants_a_yes_and_leaves_nothing
