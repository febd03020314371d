#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa work: what a program is told, and what becomes of its job.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

the_exit_code_decides() {
    local ok temporary hopeless broken killed
    cat >"$work/handler" <<'END'
#!/bin/sh
case $AWA_KIND in
ok) exit 0 ;;
temporary) exit 75 ;;
hopeless) exit 65 ;;
broken) echo oops >&2; exit 3 ;;
killed) kill -9 $$ ;;
esac
END
    chmod +x "$work/handler"
    ok=$(insert --kind ok)
    temporary=$(insert --kind temporary)
    hopeless=$(insert --kind hopeless)
    broken=$(insert --kind broken)
    killed=$(insert --kind killed --max-attempts 1)
    run_jobs --threads 2 --exec "$work/handler" -- an-argument

    equal "$(job "$ok" state attempt)" "completed|1"
    equal "$(job "$temporary" state errors.0.error)" "retryable|exit code 75"
    equal "$(job "$hopeless" state attempt)" "failed|1"
    equal "$(job "$broken" state errors.0.error)" "retryable|exit code 3: oops"
    equal "$(job "$killed" state errors.0.error)" "failed|killed by signal 9 (SIGKILL)"
    contains "$(cat "$work/worker")" "job $broken (broken): attempt 1 of 25: exit code 3: oops"
}

the_job_is_told_on_stdin_and_in_the_environment() {
    local id
    id=$(insert --kind 'say "hi"' --args '{"to": ["\u00e4", 1e3]}' --metadata '{"trace": "x"}' \
        --queue told --max-attempts 7 --tag eu --tag 'a "b"')
    AWA_DEADLINE=old WITNESS=kept run_jobs --queue told \
        --exec "cat >$work/stdin; env >$work/env"
    equal "$(json id kind queue args.to.1 metadata.trace attempt max_attempts tags <"$work/stdin")" \
        "$id|say \"hi\"|told|1000|x|1|7|[\"eu\", \"a \\\"b\\\"\"]"
    local lease deadline
    IFS='|' read -r lease deadline < <(json run_lease deadline_ms <"$work/stdin")
    for line in "AWA_JOB_ID=$id" 'AWA_KIND=say "hi"' AWA_QUEUE=told AWA_ATTEMPT=1 \
        AWA_MAX_ATTEMPTS=7 "AWA_RUN_LEASE=$lease" \
        "AWA_DEADLINE=$((deadline / 1000))" WITNESS=kept; do
        grep -qxF "$line" "$work/env" || { echo "no $line"; cat "$work/env"; exit 1; }
    done
    equal "$(grep -c '^AWA_DEADLINE=' "$work/env")" 1
}

without_a_deadline_there_is_none_in_the_environment() {
    "$awa" queue set endless --deadline 0s
    insert --kind x --queue endless >/dev/null
    AWA_DEADLINE=old run_jobs --queue endless --exec "cat >$work/stdin; env >$work/env"
    equal "$(json deadline_ms tags <"$work/stdin")" "null|[]"
    equal "$(grep -c '^AWA_DEADLINE=' "$work/env")" 0
}

what_is_printed_becomes_the_output() {
    local id
    run_one() {
        id=$(insert --kind print --queue output)
        TEXT=${2:-} run_jobs --queue output --exec "$1"
    }
    run_one "echo ' {\"a\": [1, 2]} '"
    equal "$(job "$id" output.a.1)" 2
    run_one "echo -12.5e3"
    equal "$(job "$id" output)" -12500
    run_one "echo '2 files'"
    equal "$(job "$id" output.stdout)" "2 files"
    run_one "echo '[note] done'"
    equal "$(job "$id" output.stdout)" "[note] done"
    local text texts=('{broken}' '2026-11-29' 10.1.2.3 1-800 "{'a': 1}" "[1, 'two']" '"a" and "b"'
        '{"a": 1} {"a": 2}' '[INFO] start ... [INFO] done' NaN 0x1f 007 1e)
    for text in "${texts[@]}"; do
        run_one "printf '%s\\n' \"\$TEXT\"" "$text"
        equal "$(job "$id" state output)" "completed|$(json 0 <<<"[$(python3 -c '
import json, sys
print(json.dumps({"stdout": sys.argv[1] + "\n"}))' "$text")]")"
    done
    run_one "python3 -c 'print(\"[start]\\n\" + \"line\\n\" * 10000 + \"[end]\")'"
    equal "$(job "$id" output.stdout | wc -c)" $((8 + 50000 + 6 + 1)) # print adds one
    run_one "printf '%s' '[\"\\u0000\"]'"
    equal "$(job "$id" state output)" 'completed|{"stdout": "[\"\\u0000\"]"}'
    run_one "python3 -c 'print(\"[\" * 20000 + \"]\" * 20000)'"
    contains "$(job "$id" state output)" 'completed|{"stdout": "[[['
    run_one "true"
    equal "$(job "$id" output)" null
    run_one "printf 'a\\000b\\377c\\033\"'"
    equal "$(job "$id" output.stdout | tr '\033' E)" 'a?b?cE"'
}

long_output_keeps_its_end() {
    local id
    id=$(insert --kind print --queue output --max-attempts 1)
    run_jobs --queue output --exec '
        i=0; while [ $i -lt 3000 ]; do echo "line $i of the output, which is long"; i=$((i+1)); done
        seq 1 9000 >&2; echo "the end" >&2; exit 1'
    equal "$(job "$id" state)" failed
    equal "$(job "$id" output.cut)" true
    job "$id" output.stdout >"$work/stdout"
    contains "$(tail -n 2 "$work/stdout")" "line 2999 of the output"
    [ "$(stat -c %s "$work/stdout")" -le 65537 ]
    [ "$(stat -c %s "$work/stdout")" -gt 65000 ]
    job "$id" errors.0.error >"$work/stderr"
    contains "$(head -n 1 "$work/stderr")" "exit code 1: ..."
    contains "$(tail -n 1 "$work/stderr")" "the end"
    [ "$(stat -c %s "$work/stderr")" -le 8193 ]
    [ "$(stat -c %s "$work/stderr")" -gt 8000 ]
}

input_that_nobody_reads_holds_nobody_up() {
    local id
    python3 -c 'print("{\"kind\": \"big\", \"args\": \"%s\"}" % ("x" * 900000))' |
        "$awa" job insert - --quiet
    id=$("$awa" job list --kind big --json | json 0.id)
    run_jobs --exec "exec <&-; echo done"
    equal "$(job "$id" output.stdout)" "done"
}

closed_descriptors_do_no_harm() {
    local id
    id=$(insert --kind x --queue closed)
    timeout 60 "$awa" work --until-empty --queue closed --exec "echo out; echo err >&2; exit 65" \
        <&- >&- 2>&- || true
    equal "$(job "$id" state output.stdout errors.0.error)" "failed|out
|exit code 65: err"
}

is_gone() {
    # A zombie without a parent that reaps it is as good as gone.
    [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

the_deadline_ends_the_whole_group() {
    local id
    "$awa" queue set hurried --deadline 500ms
    id=$(insert --kind x --queue hurried --max-attempts 1)
    cat >"$work/stubborn" <<'END'
#!/bin/bash
trap '' TERM
bash -c 'trap "" TERM; echo $$ >'"$1"'.child; while :; do read -t 1 <> <(:); done' &
echo $$ >"$1.leader"
wait
while :; do read -t 1 <> <(:); done
END
    chmod +x "$work/stubborn"
    run_jobs --queue hurried --exec "$work/stubborn" -- "$work/pid"
    wait_until 5 is_gone "$(cat "$work/pid.leader")"
    wait_until 5 is_gone "$(cat "$work/pid.child")"
    equal "$(job "$id" state errors.0.outcome)" "failed|expired"
    contains "$(job "$id" errors.0.error)" "the deadline passed after"
}

# Both read from a gate that nobody opens, until one is over and the other has outlived its queue's deadline.
a_job_may_have_a_deadline_of_its_own() {
    local short long
    mkfifo "$work/gate"
    "$awa" queue set own --deadline 500ms
    short=$(insert --kind x --queue own --max-attempts 1 --max-run 200ms)
    long=$(insert --kind x --queue own --max-attempts 1 --max-run 1m)
    run_jobs --queue own --threads 2 --exec "exec cat $work/gate" &
    wait_state 20 "$short" failed
    wait_until 20 has_run_for "$long" '500 ms'
    : <>"$work/gate"
    wait $!
    equal "$(job "$short" errors.0.outcome)" expired
    equal "$(job "$long" state)" completed
}

has_run_for() {
    [ "$(sql "SELECT clock_timestamp() > attempted_at + interval '$2' FROM awa.jobs WHERE id = $1")" = t ]
}

what_it_leaves_behind_is_ended() {
    local id
    id=$(insert --kind x --queue left)
    run_jobs --queue left --exec 'sleep 1000 & echo $! >'"$work/left"
    wait_until 5 is_gone "$(cat "$work/left")"
    equal "$(job "$id" state)" completed
}

who_left_the_group_holds_nobody_up() {
    local id
    id=$(insert --kind x --queue left)
    run_jobs --queue left --exec "echo before; setsid sh -c 'echo \$\$ >$work/left; exec sleep 1000' &
                                  while [ ! -s $work/left ]; do :; done"
    kill "$(cat "$work/left")"
    equal "$(job "$id" state output.stdout)" "completed|before"
}

until_empty_says_whether_all_went_well() {
    works() {
        exits "$1" timeout 60 "$awa" work --until-empty --queue "$2" --exec "$3"
    }
    insert --kind x --queue well >/dev/null
    works 0 well true
    works 0 well false # which has nothing to do
    insert --kind x --queue again >/dev/null # it waits for its second attempt then
    works 4 again 'exit 1'
    insert --kind x --queue over >/dev/null
    works 4 over 'exit 65'
    insert --kind x --queue both >/dev/null
    insert --kind y --queue both >/dev/null
    works 4 both '[ $AWA_KIND = y ]'
    insert --kind x --queue taken >/dev/null # an operator's cancel is no failure
    works 0 taken "$awa job cancel \$AWA_JOB_ID; sleep 1000"
    insert --kind x --queue early >/dev/null
    insert --kind x --queue early >/dev/null
    works 1 early 'kill -TERM $PPID; sleep 0.5'
}

what_is_due_is_not_left_behind() {
    local id
    id=$(insert --kind x --queue due --delay 1ms)
    wait_until 5 due "$id"
    run_jobs --queue due --exec true
    equal "$(job "$id" state)" completed
}

due() {
    [ "$(sql "SELECT run_at < clock_timestamp() FROM awa.jobs WHERE id = $1")" = t ]
}

what_it_does_not_know_is_left_to_others() {
    local id
    id=$(insert --kind strange --queue known)
    run_jobs --queue known --kind familiar --exec true
    equal "$(job "$id" attempt)" 0
    contains "available scheduled" "$(job "$id" state)"
}

a_missing_schema_says_what_to_do() {
    sql "CREATE DATABASE empty"
    exits 1 "$awa" work --dsn "$AWA_DATABASE_URL dbname=empty" --exec true
    contains "$err" "run awa migrate"
}

usage_errors_are_found_first() {
    exits 2 "$awa" work
    contains "$err" "--exec"
    exits 2 "$awa" work --exec true --threads 0
    exits 2 "$awa" work --exec true --threads 100000
    contains "$err" "want 1 to 1024"
    exits 2 "$awa" work --exec true --queue ''
    exits 2 "$awa" work --exec '' --until-empty # it would complete all without doing anything
    contains "$err" "wants --exec CMD"
    exits 2 "$awa" work --exec true --drain-timeout soon
}

run_tests the_exit_code_decides the_job_is_told_on_stdin_and_in_the_environment \
    without_a_deadline_there_is_none_in_the_environment what_is_printed_becomes_the_output \
    long_output_keeps_its_end input_that_nobody_reads_holds_nobody_up \
    closed_descriptors_do_no_harm the_deadline_ends_the_whole_group \
    a_job_may_have_a_deadline_of_its_own \
    what_it_leaves_behind_is_ended who_left_the_group_holds_nobody_up \
    until_empty_says_whether_all_went_well what_is_due_is_not_left_behind what_it_does_not_know_is_left_to_others \
    a_missing_schema_says_what_to_do usage_errors_are_found_first
