#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa storage.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

the_status_shows_both_worlds() {
    exits 0 "$awa" storage status
    contains "$out" "current slot"
    exits 0 "$awa" storage status --json
    equal "$(json current_slot exact fast <<<"$out")" "0|null|null"
    insert --kind x --queue one >/dev/null
    insert --kind x --queue two --delay 1h >/dev/null
    insert --kind x --queue failed >/dev/null
    fail_jobs failed
    sql "SELECT awa.roll_up(0::smallint)" # as if the slot had been pruned, too
    exits 0 "$awa" storage status
    contains "$out" "1 available, 1 scheduled, 0 retryable, 0 running, 0 completed, 1 failed"
    contains "$out" "at most 1 available; at least 1 deferred, 0 running"
    exits 0 "$awa" storage status --json
    equal "$(json exact.available exact.scheduled exact.failed exact.pruned_failed fast.available \
        fast.deferred fast.failed <<<"$out")" "1|1|1|1|1|1|1"
}

poison() {
    sql "INSERT INTO awa.queue_terminal_count_deltas (lane_id, completed, ready_slot)
         SELECT lane_id, 992, 0 FROM awa.lanes WHERE queue = '$1' LIMIT 1"
}

counters_are_checked_and_put_right() {
    local i
    for i in 1 2 3 4 5 6 7; do
        insert --kind x --queue counted >/dev/null
    done
    fail_jobs counted
    exits 0 "$awa" storage rebuild-terminal-counters --check
    contains "$out" "queue    counted  found  corrected"
    contains "$out" "counted        7      7          0"
    equal "$err" ""
    poison counted
    for i in 1 2; do # it changes nothing
        exits 1 "$awa" storage rebuild-terminal-counters --check
        contains "$out" "counted      999      7        992"
        contains "$err" "the counters differ by 992"
    done
    exits 1 "$awa" storage rebuild-terminal-counters --check --json
    contains "$out" '{"queue":"counted","counted":999,"found":7,"corrected":992}'
    equal "$(counts counted completed failed)" "992|7"
    exits 0 "$awa" storage rebuild-terminal-counters
    contains "$out" "counted      999      7        992"
    exits 0 "$awa" storage rebuild-terminal-counters --check --json
    contains "$out" '{"queue":"counted","counted":7,"found":7,"corrected":0}'
    equal "$(counts counted completed failed)" "0|7"
}

counters_that_are_not_trusted_are_said_to_be() {
    sql "UPDATE awa.settings SET terminal_counters_trusted_at = NULL"
    exits 0 "$awa" storage status
    contains "$out" "not trusted: run awa storage rebuild-terminal-counters"
    exits 0 "$awa" storage rebuild-terminal-counters --quiet
    equal "$err" ""
    exits 0 "$awa" storage status
    contains "$out" "trusted since"
}

a_reset_wants_to_be_meant() {
    local name
    name=$(sql "SELECT current_database()")
    insert --kind x --queue emptied >/dev/null
    "$awa" queue set emptied --dlq on --quiet
    fail_jobs emptied
    insert --kind x --queue emptied --unique-key k >/dev/null
    exits 2 "$awa" storage reset
    exits 2 "$awa" storage reset "$name"
    contains "$err" "say --yes if you mean it"
    exits 2 "$awa" storage reset --yes
    exits 2 "$awa" storage reset --yes template1
    contains "$err" "database: this is $name, not template1"
    equal "$(counts emptied available dead_lettered)" "1|1"
    exits 0 "$awa" storage reset --yes "$name"
    exits 0 "$awa" job list --json
    equal "$out" "[]"
    exits 0 "$awa" dlq depth --json
    equal "$out" "[]"
    equal "$(counts emptied available failed dead_lettered pruned_failed)" "0|0|0|0"
    exits 0 "$awa" storage status --json
    equal "$(json terminal_jobs dead_letters exact.pruned_failed fast.failed <<<"$out")" "0|0|0|0"
    exits 0 "$awa" queue list --json
    contains "$out" '"dlq_enabled" : true'
    insert --kind x --queue emptied --unique-key k >/dev/null
}

a_reset_yields_to_who_uses_the_queue() {
    coproc holder { "$awa" dev psql -- -XqAt; }
    # shellcheck disable=SC2154
    local session=$holder_PID in=${holder[1]} from=${holder[0]} id
    echo "BEGIN; SELECT awa.insert_job('open');" >&"$in"
    read -r id <&"$from"
    exits 1 "$awa" storage reset --yes "$(sql "SELECT current_database()")"
    contains "$err" "somebody is using the queue"
    echo "COMMIT;" >&"$in"
    eval "exec $in>&-"
    wait "$session"
    equal "$(job "$id" kind)" open
}

run_tests the_status_shows_both_worlds counters_are_checked_and_put_right \
    counters_that_are_not_trusted_are_said_to_be a_reset_wants_to_be_meant \
    a_reset_yields_to_who_uses_the_queue
