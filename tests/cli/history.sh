#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa job, for jobs that have ended: retry in bulk, discard, delete, dump.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

# fail QUEUE OPTION...: a failed job; prints its id.
fail() {
    local queue=$1 id
    shift
    id=$(insert --kind x --queue "$queue" "$@")
    fail_jobs "$queue"
    echo "$id"
}

failed_jobs_are_retried_in_bulk() {
    local one two
    one=$(fail again --kind y)
    two=$(fail again --tag t)
    fail again --tag t >/dev/null
    exits 0 "$awa" job retry --failed --queue again --kind y --dry-run
    contains "$out" $'1 jobs would be retried\nthey are: '"$one"
    equal "$(counts again failed)" 3
    exits 0 "$awa" job retry --failed --tag t --json
    equal "$(json dry_run matched retried conflicts past_retention sample.1 <<<"$out")" \
        "false|2|2|0|null|$two"
    exits 0 "$awa" job retry --failed --queue again
    equal "$out" "1 jobs retried"
    equal "$(counts again failed available)" "0|3"
    equal "$(job "$one" state attempt errors.0.error)" "available|0|no luck"
}

ids_and_filters_exclude_each_other() {
    local id
    id=$(fail exclusive)
    exits 2 "$awa" job retry
    contains "$err" "wants ids, or --failed"
    exits 2 "$awa" job retry --failed
    contains "$err" "which jobs? give a filter, such as --queue, or --all"
    exits 2 "$awa" job retry --failed --dry-run
    exits 2 "$awa" job retry --failed --queue exclusive "$id"
    contains "$err" "--failed goes without ids"
    exits 2 "$awa" job retry --queue exclusive
    contains "$err" "--queue goes with --failed"
    exits 2 "$awa" job retry "$id" --dry-run
    contains "$err" "--dry-run goes with --failed"
    exits 2 "$awa" job discard
    contains "$err" "which jobs?"
    exits 2 "$awa" job discard "$id"
    equal "$(job "$id" state)" failed
}

a_retry_whose_key_is_taken_is_a_conflict() {
    local id
    id=$(fail keyed --unique-key k)
    insert --kind x --queue keyed --unique-key k >/dev/null
    exits 5 "$awa" job retry "$id"
    contains "$err" "job $id: a newer job holds the unique key k"
    exits 0 "$awa" job retry --failed --queue keyed
    equal "$out" $'0 jobs retried\n1 left where they are: a newer job holds their unique key'
    equal "$(job "$id" state)" failed
}

# Their number is known of a queue, and of all of them.
jobs_past_retention_are_counted() {
    fail old >/dev/null
    fail old >/dev/null
    "$awa" queue set old --keep-failed 0s --quiet
    sql "SELECT awa.rotate_ring(true)" >/dev/null
    wait_until 10 prune_slot 0
    fail old >/dev/null
    exits 0 "$awa" job retry --failed --queue old --dry-run
    contains "$out" "1 jobs would be retried"
    contains "$out" "2 more are past retention, only their number is left"
    exits 0 "$awa" job retry --failed --queue old --json
    equal "$(json matched retried past_retention <<<"$out")" "1|1|2"
    exits 0 "$awa" job retry --failed --all --dry-run --json
    equal "$(json past_retention <<<"$out")" 2
    exits 0 "$awa" job retry --failed --queue old --kind x
    contains "$out" "how many are past retention is known of a queue, not of a kind or a tag"
    exits 0 "$awa" queue stats old
    equal "$(tail -n 1 <<<"$out" | awk '{print $NF}')" 2
}

# As the leader does, but now.
prune_slot() {
    sql "SELECT awa.checkpoint_heads($1::smallint)"
    sql "SELECT awa.carry_forward($1::smallint)"
    [ "$(sql "SELECT awa.prune_slot($1::smallint, clock_timestamp() + '2 h')")" = pruned ]
}

failed_jobs_are_discarded() {
    local id
    id=$(fail junk --kind y --tag t)
    fail junk >/dev/null
    exits 0 "$awa" job discard --kind y --queue junk --dry-run
    equal "$out" $'1 jobs would be discarded\nthey are: '"$id"
    exits 0 "$awa" job discard --kind y --queue junk --tag other
    equal "$out" "0 jobs discarded"
    exits 0 "$awa" job discard --kind y --queue junk
    equal "$out" "1 jobs discarded"
    exits 3 "$awa" job show "$id"
    exits 0 "$awa" job discard --queue junk --json
    equal "$(json matched discarded <<<"$out")" "1|1"
    equal "$(counts junk failed pruned_failed)" "0|0"
}

a_job_is_deleted_in_any_state() {
    local waiting later failed dead running
    dead=$(fail deleted)
    exits 0 "$awa" dlq move "$dead"
    failed=$(fail deleted)
    waiting=$(insert --kind x --queue deleted)
    later=$(insert --kind x --queue deleted --delay 1h)
    running=$(insert --kind x --queue ran)
    "$awa" work --queue ran --exec "touch $work/runs; exec sleep 1000" >"$work/worker" 2>&1 &
    local worker=$!
    # shellcheck disable=SC2064 # now: its variable is gone by then
    trap "kill $worker" EXIT # else it outlives a test that fails
    wait_until 10 test -e "$work/runs"
    exits 3 "$awa" job delete "$dead" "$failed" "$waiting" "$later" "$running" 999999999
    contains "$err" "job $running: deleted"
    contains "$err" "job 999999999: not known"
    for id in "$dead" "$failed" "$waiting" "$later" "$running"; do
        exits 3 "$awa" job show "$id"
    done
    equal "$(counts deleted available scheduled failed dead_lettered)" "0|0|0|0"
    exits 2 "$awa" job delete
    exits 2 "$awa" job delete --all
}

a_dump_tells_all() {
    local id later
    id=$(insert --kind twice --queue dumped --max-attempts 2 --unique-key d --args '{"a": 1}')
    run_jobs --queue dumped --exec 'echo "attempt $AWA_ATTEMPT" >&2; exit 65' --name 'the one'
    exits 0 "$awa" job retry "$id"
    run_jobs --queue dumped --exec 'echo "again" >&2; exit 65' --name 'the other'
    exits 0 "$awa" job dump "$id"
    contains "$out" "state        failed"
    contains "$out" "place        ready_entries"
    contains "$out" ": queue dumped, priority 2, shard 0"
    contains "$out" "unique_key   d (held)"
    contains "$out" "of worker the one ("
    contains "$out" "withdrawn as removed at 20"
    contains "$out" "of worker the other ("
    contains "$out" "exit code 65: attempt 1"
    contains "$out" "failed after 1 attempts"
    exits 0 "$awa" job dump "$id" --json
    equal "$(json job.id place lane.queue unique_key_held appearances.0.worker \
        appearances.0.withdrawn appearances.1.worker appearances.1.outcome errors.1.error \
        <<<"$out")" "$id|ready_entries|dumped|true|the one|removed|the other|failed|exit code 65: again"
    exits 0 "$awa" dlq move "$id"
    exits 0 "$awa" job dump "$id"
    contains "$out" "place        dlq_entries"
    contains "$out" "reason       manual"
    later=$(insert --kind x --queue dumped --delay 1h)
    exits 0 "$awa" job dump "$later"
    contains "$out" "place      deferred_jobs"
    [[ $out != *lane* ]]
    exits 3 "$awa" job dump 999999999
    contains "$err" "job 999999999: not known"
    exits 3 "$awa" job dump 999999999 --json
    equal "$out" ""
    exits 2 "$awa" job dump x
}

run_tests failed_jobs_are_retried_in_bulk ids_and_filters_exclude_each_other \
    a_retry_whose_key_is_taken_is_a_conflict jobs_past_retention_are_counted \
    failed_jobs_are_discarded a_job_is_deleted_in_any_state a_dump_tells_all
