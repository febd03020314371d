#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SIGINT and SIGTERM while a command waits for the server, which waits for somebody else's lock.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

# lock_all [EXCEPT]: from here on nobody else gets at any table of the schema, but that one.
lock_all() {
    coproc holder { "$awa" dev psql -- -XqAt; }
    # shellcheck disable=SC2154
    exec 5>&"${holder[1]}"
    cat >&5 <<END
BEGIN;
SELECT format('LOCK TABLE awa.%I IN ACCESS EXCLUSIVE MODE', relname) FROM pg_class
 WHERE relnamespace = 'awa'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
   AND relname <> '${1:-}'
\\gexec
SELECT 'locked';
END
    local line=
    until [ "$line" = locked ]; do
        read -r line <&"${holder[0]}"
    done
}

waiting() {
    sql "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'awa' AND wait_event_type = 'Lock'"
}

somebody_waits() {
    [ "$(waiting)" = 1 ]
}

nobody_waits() {
    [ "$(waiting)" = 0 ]
}

gone() {
    [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

# begin WORD...: the command runs in the background, as $command, and waits for the lock.
begin() {
    env --default-signal=INT "$awa" "$@" >"$work/out" 2>"$work/err" </dev/null &
    command=$!
    wait_until 10 somebody_waits
}

# ends_with CODE SECONDS
ends_with() {
    local code=0
    wait_until "$2" gone "$command"
    wait "$command" || code=$?
    equal "$code" "$1"
}

a_signal_ends_what_waits_for_the_server() {
    local words commands=('job list' 'job show 1' 'job dump 1' 'job explain 1' 'job insert --kind x'
        'job cancel 1' 'job retry 1' 'job delete 1' 'queue list' 'queue stats' 'queue stats --fast'
        'queue pause q' 'queue drain q --yes' 'queue set q --dlq on' 'dlq list' 'dlq depth'
        'dlq show 1' 'worker list' 'health' 'storage status' 'storage rebuild-terminal-counters')
    lock_all
    for words in "${commands[@]}"; do
        # shellcheck disable=SC2086 # words
        begin $words
        kill -TERM "$command"
        ends_with 143 5
        wait_until 1 nobody_waits # it was cancelled: the server itself would look after 2 s
    done
    begin job list
    kill -INT "$command"
    ends_with 130 5
    wait_until 1 nobody_waits
    begin work --exec true # not begun yet: there is nothing to drain
    kill -TERM "$command"
    ends_with 143 5
    wait_until 10 nobody_waits
    equal "$(cat "$work/err")" ""
}

bulk_verbs_finish_their_page_or_cancel_it() {
    lock_all schema_migrations # so that they come as far as to their pages
    begin job discard --all
    kill -TERM "$command"
    sleep 0.6 # what comes within half a second is one signal
    kill -TERM "$command"
    ends_with 143 4
    wait_until 1 nobody_waits
    begin job discard --all
    kill -TERM "$command"
    ends_with 143 15
    wait_until 1 nobody_waits
}

# insert_lines N: at once, into $work/pipe, whose end stays open; the insert waits for the lock.
insert_lines() {
    rm -f "$work/pipe"
    mkfifo "$work/pipe"
    "$awa" job insert - --queue lines <"$work/pipe" >"$work/out" 2>"$work/err" &
    command=$!
    exec 6>"$work/pipe"
    python3 -c 'import os, sys; os.write(6, b"{\"kind\":\"x\"}\n" * int(sys.argv[1]))' "$1"
    wait_until 10 somebody_waits
}

what_was_read_is_inserted_if_the_server_lets_it() {
    lock_all schema_migrations
    insert_lines 5003 # a batch, and three that are read and have to wait for it
    kill -TERM "$command"
    echo "COMMIT;" >&5
    ends_with 143 5
    contains "$(cat "$work/err")" "5003 lines: 5003 jobs inserted"
    contains "$(cat "$work/err")" "interrupted; go on behind line 5003"
    equal "$(sql "SELECT count(*) FROM awa.jobs WHERE queue = 'lines'")" 5003
}

an_insert_that_waits_for_the_server_can_be_stopped() {
    lock_all schema_migrations
    insert_lines 1
    kill -TERM "$command"
    ends_with 143 15
    contains "$(cat "$work/err")" "canceling statement"
    contains "$(cat "$work/err")" "interrupted; go on behind line 0"
    insert_lines 1
    kill -TERM "$command"
    sleep 0.6
    kill -TERM "$command"
    ends_with 143 4
    wait_until 1 nobody_waits
}

process_1_of_a_container_ends_too() {
    local container=(--pid --fork --mount-proc)
    unshare "${container[@]}" true 2>/dev/null || container+=(--user --map-root-user)
    unshare "${container[@]}" true 2>/dev/null || return 0 # not allowed here
    lock_all
    unshare "${container[@]}" "$awa" job list &
    command=$!
    wait_until 10 somebody_waits
    kill -TERM "$(pgrep -P "$command")"
    ends_with 143 5
    wait_until 1 nobody_waits
}

run_tests a_signal_ends_what_waits_for_the_server bulk_verbs_finish_their_page_or_cancel_it \
    what_was_read_is_inserted_if_the_server_lets_it \
    an_insert_that_waits_for_the_server_can_be_stopped \
    process_1_of_a_container_ends_too
