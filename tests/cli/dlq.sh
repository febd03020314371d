#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa dlq.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

# bury QUEUE OPTION...: a dead letter; prints its id.
bury() {
    local queue=$1 id
    shift
    "$awa" queue set "$queue" --dlq on --quiet
    id=$(insert --kind x --queue "$queue" "$@")
    fail_jobs "$queue"
    echo "$id"
}

# The first column of a table.
ids() {
    tail -n +2 <<<"$out" | awk '{print $1}' | xargs
}

what_fails_in_a_queue_with_the_switch_is_a_dead_letter() {
    local id plain
    id=$(bury switched --args '{"a": 1}' --tag t)
    exits 0 "$awa" dlq list --queue switched
    contains "$(head -n 1 <<<"$out")" "id  kind  queue     reason          attempt  dead_since"
    [[ $out != *cursor* ]] # it is for the program
    contains "$(sed -n 2p <<<"$out")" "x     switched  terminal_error  1/25 "
    contains "$(sed -n 2p <<<"$out")" " no luck"
    exits 0 "$awa" dlq show "$id"
    contains "$out" "reason      terminal_error"
    contains "$out" "dead_since  20"
    contains "$out" "no luck"
    exits 0 "$awa" dlq show "$id" --json
    equal "$(json id dlq_reason args.a tags.0 errors.0.error <<<"$out")" \
        "$id|terminal_error|1|t|no luck"
    exits 0 "$awa" job explain "$id"
    contains "$out" "awa dlq retry"
    exits 3 "$awa" job retry "$id"
    contains "$err" "for dead letters: awa dlq retry"

    exits 0 "$awa" queue set switched --dlq default
    plain=$(insert --kind x --queue switched)
    fail_jobs switched
    exits 3 "$awa" dlq show "$plain"
    contains "$err" "job $plain: not in the dead-letter queue"
    exits 3 "$awa" dlq show "$plain" --json
    equal "$out" ""
    exits 3 "$awa" dlq show 999999999
    exits 2 "$awa" dlq show x
    equal "$(counts switched failed dead_lettered)" "1|1"
}

a_list_has_filters() {
    local one two three
    one=$(bury filters --tag 'a b')
    two=$(bury filters --kind y)
    three=$(insert --kind x --queue filters --tag other)
    "$awa" queue set filters --dlq off --quiet
    fail_jobs filters
    "$awa" dlq move "$three" --reason 'needs "a" look' --quiet
    while read -r want filter; do
        eval "exits 0 '$awa' dlq list --queue filters $filter"
        equal "$filter: $(ids)" "$filter: ${want//,/ }"
        eval "exits 0 '$awa' dlq list --queue filters --json $filter"
        equal "$filter: $(python3 -c 'import json, sys
print(*[d["id"] for d in json.load(sys.stdin)])' <<<"$out")" "$filter: ${want//,/ }"
    done <<END
$three,$two,$one --from 1h
$two --kind y
$one --tag 'a b'
$three --reason 'needs "a" look'
$two,$one --reason terminal_error --to tomorrow
$three --limit 1
END
    exits 0 "$awa" dlq list --queue filters --to 1h
    equal "$(ids)" ""
    exits 0 "$awa" dlq list --queue filters --from tomorrow --json
    equal "$out" "[]"
    exits 0 "$awa" dlq depth filters
    contains "$(tail -n 1 <<<"$out")" "filters      3  20"
    exits 0 "$awa" dlq depth --json
    contains "$out" '"queue":"filters","depth":3'
    exits 0 "$awa" dlq depth nowhere --json
    equal "$out" "[]"
    exits 2 "$awa" dlq list --from yesteryear
    contains "$err" "--from: invalid input syntax"
    exits 2 "$awa" dlq list --to infinity
    contains "$err" "--to: want a finite time, got infinity"
    exits 2 "$awa" dlq list --limit 10001
    contains "$err" "limit: want 1 to 10000, got 10001"
}

# What comes and goes meanwhile shifts no page; letters of one moment are not confused.
pages_have_a_stable_cursor() {
    local i first cursor
    "$awa" queue set paged --dlq on --quiet
    for i in 1 2 3 4 5 6; do
        insert --kind x --queue paged >/dev/null
    done
    fail_jobs paged
    exits 0 "$awa" dlq list --queue paged
    read -ra first <<<"$(ids)"
    exits 0 "$awa" dlq list --queue paged --limit 2
    equal "$(ids)" "${first[0]} ${first[1]}"
    contains "$err" "the next ones: --before "
    cursor=${err##* }
    exits 0 "$awa" job delete "${first[1]}" "${first[3]}"
    bury paged >/dev/null
    exits 0 "$awa" dlq list --queue paged --limit 2 --before "$cursor"
    equal "$(ids)" "${first[2]} ${first[4]}"
    exits 0 "$awa" dlq list --queue paged --limit 2 --before "$cursor" --json
    equal "$(json 1.id <<<"$out")" "${first[4]}"
    exits 0 "$awa" dlq list --queue paged --limit 2 --before "$(json 1.cursor <<<"$out")"
    equal "$(ids)" "${first[5]}"
    equal "$err" ""
    for cursor in x 5 5- -5 5-x 5-5-5 '5-5 '; do
        exits 2 "$awa" dlq list --before "$cursor"
        contains "$err" "'$cursor' is no cursor"
    done
}

letters_run_again_one_by_one() {
    local one two three
    one=$(bury single)
    two=$(bury single)
    three=$(bury single --max-attempts 3)
    exits 3 "$awa" dlq retry "$one" 999999999
    contains "$err" "job $one: retried"
    contains "$err" "job 999999999: not in the dead-letter queue"
    equal "$(job "$one" state attempt errors.0.error)" "available|0|no luck"
    exits 0 "$awa" dlq retry "$two" --in 1h --to-queue elsewhere --to-priority 4
    equal "$(job "$two" state queue priority)" "scheduled|elsewhere|4"
    exits 2 "$awa" dlq retry "$three" --in 1h --at tomorrow
    contains "$err" "--at excludes --in"
    exits 2 "$awa" dlq retry "$three" --to-priority 5
    contains "$err" "priority: want 1 to 4, got 5"
    exits 2 "$awa" dlq retry "$three" --to-priority 0
    exits 2 "$awa" dlq retry "$three" --at someday
    contains "$err" "--at: invalid input syntax"
    exits 2 "$awa" dlq retry "$three" --queue single
    contains "$err" "--queue goes without ids"
    exits 2 "$awa" dlq retry "$three" --dry-run
    exits 2 "$awa" dlq retry "$three" x
    equal "$(counts single dead_lettered)" 1
    exits 0 "$awa" dlq retry "$three" --at '2100-01-02 03:04:05+00'
    equal "$(job "$three" state run_at max_attempts)" "scheduled|2100-01-02T03:04:05+00:00|3"
}

letters_run_again_in_bulk() {
    local i one
    "$awa" queue set bulk --dlq on --quiet
    one=$(insert --kind y --queue bulk)
    for i in 1 2 3; do
        insert --kind x --queue bulk --tag "t$i" >/dev/null
    done
    fail_jobs bulk
    exits 0 "$awa" dlq retry --queue bulk --kind y --dry-run
    equal "$out" "1 jobs would be retried"$'\n'"they are: $one"
    equal "$(counts bulk dead_lettered)" 4
    exits 0 "$awa" dlq retry --queue bulk --tag t2 --tag t3 --in 1h --to-queue later
    equal "$out" "1 jobs retried"
    exits 0 "$awa" dlq retry --reason terminal_error --queue bulk --json
    equal "$(json dry_run matched retried conflicts <<<"$out")" "false|3|3|0"
    equal "$(json sample.2 <<<"$out")" "$one"
    equal "$(counts bulk available dead_lettered)" "3|0"
    equal "$(counts later scheduled)" 1
    exits 0 "$awa" dlq retry --kind none --json
    equal "$(json matched sample <<<"$out")" "0|[]"
}

a_key_that_a_newer_job_holds_is_a_conflict() {
    local old new
    old=$(bury keyed --unique-key k)
    new=$(insert --kind x --queue keyed --unique-key k)
    bury other --tag keyed >/dev/null
    exits 5 "$awa" dlq retry "$old"
    contains "$err" "job $old: a newer job holds the unique key k"
    exits 0 "$awa" dlq retry --queue keyed
    equal "$out" $'0 jobs retried\n1 left where they are: a newer job holds their unique key'
    exits 0 "$awa" dlq retry --queue keyed --json
    equal "$(json matched retried conflicts <<<"$out")" "1|0|1"
    exits 0 "$awa" dlq show "$old"
    exits 0 "$awa" job delete "$new"
    exits 0 "$awa" dlq retry "$old"
}

failed_jobs_are_moved() {
    local i one
    one=$(insert --kind y --queue moved)
    for i in 1 2; do
        insert --kind x --queue moved --tag "m$i" >/dev/null
    done
    exits 3 "$awa" dlq move "$one"
    contains "$err" "job $one: not known, or not failed, or there already"
    fail_jobs moved
    exits 0 "$awa" dlq move "$one" --reason why
    equal "$(job "$one" dlq_reason)" why
    exits 3 "$awa" dlq move "$one"
    exits 2 "$awa" dlq move "$one" --kind x
    contains "$err" "--kind goes without ids"
    exits 2 "$awa" dlq move --queue moved --reason "$(printf 'r%.0s' {1..201})"
    contains "$err" "reason: want 1 to 200 bytes, got 201"
    exits 0 "$awa" dlq move --queue moved --dry-run --json
    equal "$(json matched moved <<<"$out")" "2|0"
    exits 0 "$awa" dlq move --tag m1
    equal "$out" "1 jobs moved"
    exits 0 "$awa" dlq move --kind x --queue moved --reason tidy
    equal "$out" "1 jobs moved"
    equal "$(counts moved failed dead_lettered)" "0|3"
}

letters_are_purged() {
    bury gone --tag a >/dev/null
    bury gone --tag b >/dev/null
    bury kept >/dev/null
    exits 0 "$awa" dlq purge --queue gone --to 1h
    equal "$out" "0 jobs purged"
    exits 0 "$awa" dlq purge --to 1970-01-01 --dry-run # 0 ms, which is no time to the library
    equal "$out" "0 jobs would be purged"
    exits 0 "$awa" dlq purge --queue gone --tag b
    equal "$out" "1 jobs purged"
    exits 0 "$awa" dlq purge --queue gone --dry-run --json
    equal "$(json matched purged <<<"$out")" "1|0"
    exits 0 "$awa" dlq purge --queue gone --json
    equal "$(json matched purged <<<"$out")" "1|1"
    equal "$(counts gone dead_lettered)" 0
    equal "$(counts kept dead_lettered)" 1
    exits 2 "$awa" dlq purge 42
}

# A filter that is empty, say from a variable that is not set, is not the word all.
without_a_filter_nothing_happens() {
    local verb
    bury spared >/dev/null
    for verb in retry move purge; do
        exits 2 "$awa" dlq $verb
        contains "$err" "awa dlq $verb: which jobs? give a filter, such as --queue, or --all"
        exits 2 "$awa" dlq $verb --dry-run
        exits 0 "$awa" dlq $verb --queue ''
        contains "$out" "0 jobs "
    done
    exits 2 "$awa" dlq retry --in 1h
    exits 2 "$awa" dlq move --reason look
    equal "$(counts spared dead_lettered)" 1
}

# Last but one: it means all.
all_pages_are_visited() {
    python3 -c 'print("{\"kind\": \"x\", \"queue\": \"many\"}\n" * 2500, end="")' |
        "$awa" job insert - --quiet
    fail_jobs many
    "$awa" dlq purge --all --quiet
    on_terminal "$awa" dlq move --queue many >"$work/out"
    equal "$(cat "$work/out")" "2500 jobs moved"
    contains "$said" $'[K1000 jobs'
    contains "$said" '] 40%'
    [[ $said != *MB* ]]
    [[ $said == *$'[K' ]]
    exits 0 "$awa" dlq retry --all --dry-run
    contains "$out" $'2500 jobs would be retried\nthe newest of them: '
    equal "$err" ""
    exits 0 "$awa" dlq retry --all --json
    equal "$(json matched retried conflicts <<<"$out")" "2500|2500|0"
    exits 0 "$awa" dlq depth
    equal "$(wc -l <<<"$out")" 1
}

waits_for_history() {
    [ "$(sql "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted")" = 1 ]
}

# The page that is on its way is finished and stays done.
an_interrupt_ends_it_after_a_page() {
    fail_jobs many
    coproc holder { "$awa" dev psql -- -XqAt; }
    # shellcheck disable=SC2154
    local session=$holder_PID pid code=0 in=${holder[1]}
    echo "BEGIN; SELECT awa.take_lock('history');" >&"$in"
    wait_until 10 is_held
    env --default-signal=INT "$awa" job retry --failed --queue many >"$work/out" 2>"$work/err" &
    pid=$!
    wait_until 10 waits_for_history
    kill -INT $pid
    echo "COMMIT;" >&"$in"
    wait $pid || code=$?
    equal "$code" 130
    equal "$(head -n 1 "$work/out")" "1000 jobs retried"
    contains "$(cat "$work/err")" "interrupted; what was done stays done"
    equal "$(counts many available failed)" "1000|1500"
    eval "exec $in>&-"
    wait "$session"
}

is_held() {
    [ "$(sql "SELECT count(*) FROM pg_locks WHERE relation = 'awa.locks'::regclass")" -ge 1 ]
}

run_tests what_fails_in_a_queue_with_the_switch_is_a_dead_letter a_list_has_filters \
    pages_have_a_stable_cursor letters_run_again_one_by_one letters_run_again_in_bulk \
    a_key_that_a_newer_job_holds_is_a_conflict failed_jobs_are_moved letters_are_purged \
    without_a_filter_nothing_happens all_pages_are_visited an_interrupt_ends_it_after_a_page
