#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa job insert -: many jobs from JSON lines, some of them poisoned.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

# feed OPTION...: standard input goes to awa job insert -; what it says is in $out and $err, its
# exit code in $code.
feed() {
    code=0
    "$awa" job insert - "$@" >"$work/out" 2>"$work/err" || code=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
}

count() {
    sql "SELECT count(*) FROM awa.jobs WHERE queue = '$1'"
}

every_line_becomes_a_job() {
    python3 -c '
for i in range(12345):
    print("{\"kind\": \"many\", \"args\": {\"n\": %d}}" % i)' >"$work/many"
    feed --queue many <"$work/many"
    equal "$code $out" "0 "
    contains "$err" "12345 lines: 12345 jobs inserted, 0 duplicates, 0 bad lines"
    equal "$(sql "SELECT count(DISTINCT args ->> 'n') || ' ' || bool_and(state = 'available')
                    FROM awa.jobs WHERE queue = 'many'")" "12345 true"
    equal "$(sql "SELECT bool_and(n = (args ->> 'n')::int)
                    FROM (SELECT args, row_number() OVER (ORDER BY pos) - 1 AS n
                            FROM awa.jobs WHERE queue = 'many') AS j")" t
    feed --queue none </dev/null
    equal "$code $(count none)" "0 0"
}

every_field_arrives() {
    feed --json <<'END'
{"kind": "k", "args": ["x", null], "queue": "fields", "priority": 4, "max_attempts": 2, "run_at": "2100-01-01T00:00:00Z", "tags": ["a", "b,c"], "metadata": {"m": 1}, "unique_key": "u", "ordering_key": "o"}

  {"kind": "k", "args": null, "queue": "fields", "delay": "90m"}
{"kind": "k", "queue": "fields", "delay_ms": 60000, "priority": null}
END
    equal "$code" 0
    equal "$(json lines inserted duplicates bad <<<"$out")" "3|3|0|0"
    "$awa" job list --queue fields --json >"$work/fields"
    equal "$(json 2.args 2.priority 2.max_attempts 2.run_at 2.tags.1 2.metadata.m 2.unique_key \
        <"$work/fields")" '["x", null]|4|2|2100-01-01T00:00:00+00:00|b,c|1|u'
    equal "$(json 1.args 1.state 0.state 0.priority <"$work/fields")" "null|scheduled|scheduled|2"
    equal "$(sql "SELECT string_agg((extract(epoch FROM run_at - created_at) / 60)::int::text, ' '
                                    ORDER BY id)
                    FROM awa.jobs WHERE queue = 'fields' AND unique_key IS NULL")" "90 1"
}

options_say_what_a_line_leaves_out() {
    feed --kind d --args '{"d": 1}' --queue defaults --priority 3 --max-attempts 9 --tag t \
        --metadata '{"m": 2}' --delay 1h --max-run 30s <<'END'
{}
{"kind": "own", "args": 5, "priority": 1, "max_attempts": 1, "tags": [], "metadata": {}, "run_at": "2000-01-01", "max_run": "2h"}
END
    equal "$code" 0
    "$awa" job list --queue defaults --json >"$work/defaults"
    equal "$(json 1.kind 1.args.d 1.priority 1.max_attempts 1.tags.0 1.metadata.m 1.state \
        1.options.max_run_ms <"$work/defaults")" "d|1|3|9|t|2|scheduled|30000"
    equal "$(json 0.kind 0.args 0.priority 0.max_attempts 0.tags 0.metadata 0.state \
        0.options.max_run_ms <"$work/defaults")" "own|5|1|1|null|{}|available|7200000"
    echo '{"kind": "x"}' | feed --queue defaults --run-at yesteryear
    equal "$(echo '{"kind": "x"}' | { feed --run-at yesteryear; echo "$code"; })" 2
    equal "$(echo '{"kind": "x"}' | { feed --args '{'; echo "$code"; })" 2
}

# One line each: a good one before and behind every kind of poison.
poison() {
    python3 - <<'END'
import sys
good = b'{"kind": "good", "queue": "poison"}'
bad = [b'{"kind": "bad"', b'nonsense', b'[1]', b'7', b'"x"', b'null',
       b'{"kind": "bad", "args": "\\u0000"}', b'{"kind": "bad", "args": "\\ud800"}',
       b'{"kind": "bad", "args": ' + b'[' * 20000 + b']' * 20000 + b'}',
       b'{"kind": "bad", "args": "' + b'x' * 2000000 + b'"}',
       b'{"kind": "bad", "args": "' + b'x' * (2 << 20) + b'"}',
       b'{"kind": "bad", "args": "' + b'x' * (7 << 20) + b'"}',
       b'{"kind": "b\xffd"}', b'{"kind": "b\xc3"}', b'{"kind": "b\xed\xa0\x80"}', b'{"kind": "b\0d"}',
       b'{"kind": ""}', b'{"kind": "' + b'k' * 201 + b'"}', b'{"kind": 5}', b'{"args": 5}',
       b'{"kind": "bad", "queue": ""}', b'{"kind": "bad", "queue": "' + b'q' * 201 + b'"}',
       b'{"kind": "bad", "nonsense": 1}', b'{"kind": "bad", "Kind": "x"}',
       b'{"kind": "bad", "priority": 0}', b'{"kind": "bad", "priority": 5}',
       b'{"kind": "bad", "priority": 1.5}', b'{"kind": "bad", "priority": "1"}',
       b'{"kind": "bad", "priority": 1e400}', b'{"kind": "bad", "max_attempts": 0}',
       b'{"kind": "bad", "max_attempts": 1001}', b'{"kind": "bad", "max_attempts": 65537}',
       b'{"kind": "bad", "run_at": "soon"}', b'{"kind": "bad", "run_at": "infinity"}',
       b'{"kind": "bad", "run_at": "2020-02-30"}', b'{"kind": "bad", "run_at": 5}',
       b'{"kind": "bad", "delay": "5"}', b'{"kind": "bad", "delay": "-5s"}',
       b'{"kind": "bad", "delay_ms": -5}', b'{"kind": "bad", "delay_ms": 1e300}',
       b'{"kind": "bad", "delay": "5s", "delay_ms": 5}',
       b'{"kind": "bad", "delay": "5s", "run_at": "2000-01-01"}',
       b'{"kind": "bad", "tags": "t"}', b'{"kind": "bad", "tags": [1]}',
       b'{"kind": "bad", "tags": ["' + b'", "'.join([b't'] * 21) + b'"]}',
       b'{"kind": "bad", "metadata": 5}', b'{"kind": "bad", "unique_key": ""}',
       b'{"kind": "bad", "unique_key": 5}', b'{"kind": "bad", "ordering_key": []}',
       b'{"kind": "bad", "max_run": "5"}', b'{"kind": "bad", "max_run": 5}',
       b'{"kind": "bad", "max_run": "400d"}', b'{"kind": "bad", "max_run_ms": "5"}',
       b'{"kind": "bad", "max_run_ms": 0}', b'{"kind": "bad", "max_run": "5s", "max_run_ms": 5}']
out = sys.stdout.buffer
out.write(good + b'\n')
for line in bad:
    out.write(line + b'\n' + good + b'\n')
print(len(bad), file=sys.stderr)
END
}

a_bad_line_does_not_harm_its_neighbours() {
    local n
    n=$(poison 2>&1 >"$work/poison")
    feed <"$work/poison"
    equal "$code" 1
    equal "$(count poison)" $((n + 1))
    equal "$(sql "SELECT count(*) FROM awa.jobs WHERE kind NOT IN ('good', 'k', 'd', 'own', 'many')")" 0
    contains "$err" "$((2 * n + 1)) lines: $((n + 1)) jobs inserted, 0 duplicates, $n bad lines"
    # Each of them is named, and nothing else.
    equal "$(grep -oE '^awa: line [0-9]+: ' "$work/err" | grep -oE '[0-9]+' | sort -n | tr '\n' ' ')" \
        "$(seq -s ' ' 2 2 $((2 * n))) "
}

a_refusal_names_the_field() {
    local lines=(
        '{"kind": "x", "priority": 5}|line 1: priority: want 1 to 4, got 5'
        '{"kind": "x", "priority": 1.5}|line 1: priority: want a whole number, got 1.5'
        '{"kind": 5}|line 1: kind: want a string'
        '{"args": 5}|line 1: kind: missing'
        '{"kind": "x", "run_at": "soon"}|line 1: run_at: invalid input syntax'
        '{"kind": "x", "nonsense": 5}|line 1: nonsense: unknown field'
        '{"kind": "x", "delay": "5"}|line 1: delay: want 500ms'
        '[5]|line 1: want a JSON object, got array'
        $'{"kind": "\xff"}|line 1: is not valid UTF-8'
    )
    local line
    for line in "${lines[@]}"; do
        feed <<<"${line%%|*}"
        equal "$code" 1
        contains "$err" "${line#*|}"
    done
}

a_duplicate_is_counted() {
    local line='{"kind": "x", "queue": "twice", "unique_key":'
    printf '%s\n' "$line \"a\"}" "$line \"a\"}" "$line \"b\"}" >"$work/twice"
    feed <"$work/twice"
    equal "$code $(count twice)" "5 2"
    contains "$err" "2 jobs inserted, 1 duplicates"
    feed --skip-duplicates <"$work/twice"
    equal "$code $(count twice)" "0 2"
    contains "$err" "0 jobs inserted, 3 duplicates"
    echo nonsense >>"$work/twice" # which weighs more
    feed <"$work/twice"
    equal "$code" 1
}

strict_wants_no_duplicates_either() {
    local line='{"kind": "x", "queue": "twice-strict", "unique_key":'
    printf '%s\n' "$line \"c\"}" "$line \"d\"}" "$line \"c\"}" >"$work/twice"
    feed --strict <"$work/twice"
    equal "$code $(count twice-strict)" "5 0"
    contains "$err" "line 3: a live job holds the unique key c"
    feed --strict --skip-duplicates <"$work/twice"
    equal "$code $(count twice-strict)" "0 2"
    contains "$err" "2 jobs inserted, 1 duplicates"
}

strict_is_all_or_nothing() {
    local good bad='{"kind": "x", "queue": "strict", "priority": 7}'
    good=$(python3 -c 'print("{\"kind\": \"x\", \"queue\": \"strict\"}\n" * 12000, end="")')
    { echo "$good"; echo "$bad"; echo "$good"; } >"$work/strict"
    feed --strict <"$work/strict"
    equal "$code" 1
    contains "$err" "line 12001: priority: want 1 to 4, got 7"
    contains "$err" " 0 jobs inserted"
    equal "$(count strict)" 0
    { echo "$good"; echo nonsense; } >"$work/strict"
    feed --strict <"$work/strict"
    equal "$code $(count strict)" "1 0"
    contains "$err" "line 12001: invalid input syntax for type json"
    feed --strict <<<"$good"
    equal "$code $(count strict)" "0 12000"
}

a_role_without_copy_takes_the_other_door() {
    sql "CREATE ROLE only_insert LOGIN; GRANT awa_producer TO only_insert"
    feed --dsn "$AWA_DATABASE_URL user=only_insert" <<'END'
{"kind": "x", "queue": "doors"}
{"kind": "x", "queue": "doors", "priority": 9}
{"kind": "x", "queue": "doors"}
END
    equal "$code $(count doors)" "1 2"
    contains "$err" "line 2: priority: want 1 to 4, got 9"
}

lines_that_come_slowly_do_not_wait_for_company() {
    local pid
    mkfifo "$work/slowly"
    "$awa" job insert - --queue slowly <"$work/slowly" 2>"$work/err" &
    pid=$!
    exec 5>"$work/slowly"
    echo '{"kind": "x"}' >&5
    wait_until 10 has "$work/err" slowly 1
    printf '{"kind": "x"}\n{"kind": ' >&5 # the beginning of a line is not one
    wait_until 10 has "$work/err" slowly 2
    echo '"y"}' >&5
    wait_until 10 has "$work/err" slowly 3
    exec 5>&-
    wait $pid
    contains "$(cat "$work/err")" "3 lines: 3 jobs inserted"
}

an_interrupted_insert_says_how_far_it_came() {
    local pid line code=0
    mkfifo "$work/pipe"
    env --default-signal=INT "$awa" job insert - --queue stopped <"$work/pipe" 2>"$work/err" &
    pid=$!
    exec 5>"$work/pipe"
    python3 -c 'print("{\"kind\": \"x\"}\n" * 5003, end="")' >&5
    wait_until 10 has "$work/err" stopped 5003
    # What it has read when the signal comes is inserted; of this nobody knows how much that is.
    python3 -c 'print("{\"kind\": \"x\"}\n" * 50 + "{\"kind", end="")' >&5
    kill -INT $pid
    wait $pid || code=$?
    exec 5>&-
    equal "$code" 130
    line=$(sed -n 's/.*interrupted; go on behind line //p' "$work/err")
    equal "$(count stopped)" "$line"
    [ "$line" -ge 5003 ]
}

an_interrupted_strict_insert_inserts_nothing() {
    local pid code=0
    mkfifo "$work/strict-pipe"
    "$awa" job insert - --strict --queue stopped-strict <"$work/strict-pipe" 2>"$work/err" &
    pid=$!
    exec 5>"$work/strict-pipe"
    python3 -c 'print("{\"kind\": \"x\"}\n" * 5003, end="")' >&5
    wait_until 10 is_in_transaction
    kill -TERM $pid
    wait $pid || code=$?
    exec 5>&-
    equal "$code $(count stopped-strict)" "143 0"
    contains "$(cat "$work/err")" "interrupted; go on behind line 0"
}

is_in_transaction() {
    [ "$(sql "SELECT count(*) FROM pg_stat_activity
               WHERE application_name = 'awa' AND state = 'idle in transaction'")" = 1 ]
}

has() {
    [ "$(count "$2")" = "$3" ]
}

input_that_cannot_be_read_is_a_failure() {
    exits 1 sh -c '"$1" job insert - </' sh "$awa"
    contains "$err" "cannot read"
}

a_broken_session_is_a_failure() {
    [ -z "${AWA_TEST_POOLER:-}" ] || return 0 # a pooler has another one at hand
    local pid code=0
    mkfifo "$work/slow"
    "$awa" job insert - --queue broken <"$work/slow" 2>"$work/err" &
    pid=$!
    exec 6>"$work/slow"
    python3 -c 'print("{\"kind\": \"x\"}\n" * 5000, end="")' >&6
    wait_until 10 has "$work/err" broken 5000
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'awa'" \
        >/dev/null
    python3 -c 'print("{\"kind\": \"x\"}\n" * 5000, end="")' >&6
    exec 6>&-
    wait $pid || code=$?
    equal "$code" 1
    contains "$(cat "$work/err")" "whether the last lines are in is not known"
}

a_terminal_gets_a_progress_bar() {
    "$awa" job insert - --queue many <"$work/many" 2>"$work/err"
    equal "$(grep -c $'\r' "$work/err")" 0
    on_terminal "$awa" job insert - <"$work/many" >"$work/out"
    contains "$said" $'\r\e[K'
    contains "$said" '/s  '
    contains "$said" %
    [[ $said == *$'bad lines\r' ]]
}

run_tests every_line_becomes_a_job every_field_arrives options_say_what_a_line_leaves_out \
    a_bad_line_does_not_harm_its_neighbours a_refusal_names_the_field a_duplicate_is_counted \
    strict_wants_no_duplicates_either strict_is_all_or_nothing a_role_without_copy_takes_the_other_door \
    lines_that_come_slowly_do_not_wait_for_company an_interrupted_insert_says_how_far_it_came \
    an_interrupted_strict_insert_inserts_nothing input_that_cannot_be_read_is_a_failure \
    a_broken_session_is_a_failure a_terminal_gets_a_progress_bar
