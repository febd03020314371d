#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a crash of the server, of a cluster of its own, does to those who remember it.
. "$(dirname "$0")/../support/cli.sh"

ask() {
    "$awa" dev psql -- -XqAtc "$1" </dev/null
}

number() {
    ask 'SELECT awa.server_number()'
}

sleeper() {
    ask "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'" | grep .
}

a_server_keeps_its_number_while_it_runs() {
    "$awa" dev start >"$work/dsn"
    "$awa" migrate --dev --quiet
    equal "$(number)" "$(number)"
}

a_backend_that_is_killed_changes_it() {
    local before pid
    before=$(number)
    ask 'SELECT pg_sleep(60)' >/dev/null 2>&1 &
    wait_until 10 sleeper
    pid=$(sleeper)
    kill -9 "$pid"
    wait
    wait_until 30 number
    [ "$(number)" != "$before" ]
}

a_restart_changes_it() {
    local before
    before=$(number)
    exits 0 "$awa" dev stop
    exits 0 "$awa" dev start
    [ "$(number)" != "$before" ]
}

run_tests a_server_keeps_its_number_while_it_runs \
    a_backend_that_is_killed_changes_it \
    a_restart_changes_it
