#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa job: one job at a time.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

a_missing_schema_says_what_to_do() {
    local command dsn="$AWA_DATABASE_URL dbname=empty"
    sql "CREATE DATABASE empty"
    for command in "job list" "job show 1" "job insert --kind x" "job insert -" "job cancel 1" \
        "queue list" "queue stats" "queue pause x" "health" "storage status" "worker list"; do
        # shellcheck disable=SC2086
        exits 1 "$awa" $command --dsn "$dsn"
        contains "$err" "this database has none; run awa migrate"
    done
}

an_insert_prints_the_id() {
    exits 0 "$awa" job insert --kind mail
    local id=$out
    equal "$(job "$id" kind queue priority attempt max_attempts state args tags)" \
        "mail|default|2|0|25|available|{}|null"
    exits 0 "$awa" job insert --kind mail --json
    equal "$(json id <<<"$out")" $((id + 1))
}

every_option_of_an_insert_arrives() {
    local id
    id=$(insert --kind mail --args '{"to": "\u00e4\"x"}' --queue post --priority 1 \
        --max-attempts 3 --run-at '2100-01-02 03:04:05+00' --tag 'a b' --tag '"{,}' \
        --metadata '{"m": [1]}' --unique-key k1 --ordering-key o1 --max-run 2m)
    equal "$(job "$id" kind args.to queue priority max_attempts tags.0 tags.1 metadata.m.0 \
        unique_key options.max_run_ms state run_at)" \
        'mail|ä"x|post|1|3|a b|"{,}|1|k1|120000|scheduled|2100-01-02T03:04:05+00:00'
    id=$(insert --kind mail --delay 1h)
    equal "$(job "$id" state)" scheduled
    equal "$(sql "SELECT round(extract(epoch FROM run_at - created_at) / 60)
                    FROM awa.jobs WHERE id = $id")" 60
}

a_bad_insert_names_the_field() {
    exits 2 "$awa" job insert
    contains "$err" "--kind"
    exits 2 "$awa" job insert --kind ''
    contains "$err" "kind: want 1 to 200 bytes, got 0"
    exits 2 "$awa" job insert --kind x --args '{'
    contains "$err" "json"
    exits 2 "$awa" job insert --kind x --priority 5
    contains "$err" "priority: want 1 to 4, got 5"
    exits 2 "$awa" job insert --kind x --priority 0
    contains "$err" "--priority: want more than 0, got 0"
    exits 2 "$awa" job insert --kind x --priority 99999999999
    exits 2 "$awa" job insert --kind x --max-run 0s
    contains "$err" "--max-run: want more than 0, got 0s"
    exits 2 "$awa" job insert --kind x --max-run 1000d
    contains "$err" "max_run_ms: want a whole number from 1 to 31536000000, got 86400000000"
    exits 2 "$awa" job insert --kind x --run-at yesteryear
    contains "$err" yesteryear
    exits 2 "$awa" job insert --kind x --run-at now --delay 5s
    contains "$err" "run_at: excludes delay"
    exits 2 "$awa" job insert --kind x --delay 5
    contains "$err" "lacks a unit"
    exits 2 "$awa" job insert --kind x --metadata 5
    contains "$err" "metadata: want an object"
    exits 2 "$awa" job insert --kind $'\xff'
    exits 2 "$awa" job insert jobs.json
    contains "$err" "from standard input"
}

a_time_is_in_the_zone_of_who_types_it() {
    local time="$((1 + $(date -u +%Y)))-01-31 09:00"
    # at SETTING OFFSET DUE: with that in the environment, the time has that offset, and is DUE.
    at() {
        # shellcheck disable=SC2086 # words
        exits 0 env $1 "$awa" job insert --kind x --run-at "$time"
        contains "$err" "awa: --run-at $time:00$2 (in "
        equal "$(job "$out" run_at | cut -c 6-)" "$3"
    }
    at TZ=Asia/Tokyo +09 01-31T00:00:00+00:00
    at TZ=:Asia/Tokyo +09 01-31T00:00:00+00:00
    at PGTZ=Asia/Tokyo +09 01-31T00:00:00+00:00
    at TZ=EST5EDT -05 01-31T14:00:00+00:00
    at TZ= +00 01-31T09:00:00+00:00
    at TZ=/etc/localtime +00 01-31T09:00:00+00:00 # the server's
    at 'PGTZ=America/New_York TZ=Asia/Tokyo' -05 01-31T14:00:00+00:00
    at TZ=Nowhere/Land +00 01-31T09:00:00+00:00
    contains "$err" "TZ=Nowhere/Land: the server knows no such zone"
    # What says its zone itself, or is none, is as it is.
    exits 0 env TZ=Asia/Tokyo "$awa" job insert --kind x --run-at "$time+01"
    equal "$(job "$out" run_at | cut -c 6-)" 01-31T08:00:00+00:00
    exits 2 "$awa" job insert --kind x --run-at infinity
    contains "$err" "--run-at: want a finite time, got infinity"
    # Lines take the same zone, and so do filters.
    echo "{\"kind\": \"x\", \"queue\": \"zone\", \"run_at\": \"$time\"}" |
        TZ=Asia/Tokyo "$awa" job insert - --quiet
    equal "$("$awa" job list --queue zone --json | json 0.run_at | cut -c 6-)" 01-31T00:00:00+00:00
    exits 0 env TZ=Asia/Tokyo "$awa" dlq list --from '2001-02-03 04:00'
    contains "$err" "awa: --from 2001-02-03 04:00:00+09 ("
    exits 0 env TZ=Asia/Tokyo "$awa" dlq list --from 2h
    equal "$err" ""
    # Programs need no notes.
    exits 0 "$awa" job insert --kind x --run-at "$time" --quiet
    equal "$err" ""
    exits 0 "$awa" job insert --kind x --run-at "$time" --json
    equal "$err" ""
    # Programs that run for jobs get the environment as it is.
    exits 0 "$awa" job insert --kind x --queue env
    TZ=Asia/Tokyo run_jobs --queue env --exec 'echo "${PGTZ-none}"'
    equal "$(job "$out" output.stdout)" none
}

a_duplicate_is_refused() {
    insert --kind x --unique-key once >/dev/null
    exits 5 "$awa" job insert --kind x --unique-key once
    contains "$err" "holds the unique key once"
    equal "$out" ""
    exits 0 "$awa" job insert --kind x --unique-key once --skip-duplicates
    equal "$out" ""
    exits 0 "$awa" job insert --kind x --unique-key once --skip-duplicates --json --quiet
    equal "$out$err" '{"id": null}'
}

# A position in lane 512 would be rounded by jq and JavaScript; who reads it reads worker_id as well.
numbers_beyond_2_to_the_53rd_are_strings() {
    local id secret=9007199254740993 worker pos
    sql "SELECT setval('awa.lane_ids', greatest(600, last_value)) FROM awa.lane_ids"
    id=$(insert --kind x --queue exact)
    worker=$(sql "SELECT awa.register_worker($secret, 'exact', '{exact}', p_session => false)")
    sql "SELECT awa.claim_jobs($secret, 'exact', 1)" >/dev/null
    pos=$(sql "SELECT pos FROM awa.jobs WHERE id = $id")
    [ "$pos" -gt $((1 << 53)) ]
    every_number_fits() {
        python3 -c '
import json, sys
def check(value, path):
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        check(part, path + [str(key)])
    if isinstance(value, int) and abs(value) > 1 << 53:
        sys.exit(".".join(path) + " is a number")
check(json.load(sys.stdin), [])' <<<"$out"
    }
    exits 0 "$awa" job show "$id" --json
    every_number_fits
    equal "$(json pos worker_id <<<"$out")" "$pos|$worker"
    contains "$out" "\"worker_id\": \"$worker\""
    exits 0 "$awa" job list --queue exact --json
    every_number_fits
    equal "$(json 0.pos 0.worker_id <<<"$out")" "$pos|$worker"
    exits 0 "$awa" job dump "$id" --json
    every_number_fits
    equal "$(json job.pos job.worker_id appearances.0.pos appearances.0.worker_id <<<"$out")" \
        "$pos|$worker|$pos|$worker"
    exits 0 "$awa" worker list --json
    every_number_fits
    equal "$(json 0.worker_id <<<"$out")" "$worker"
    for words in "job explain $id" 'queue list' 'queue stats' 'dlq list' 'storage status'; do
        # shellcheck disable=SC2086 # words
        exits 0 "$awa" $words --json
        every_number_fits
    done
    # A job that has neither shows null, not the word.
    id=$(insert --kind x --queue exact --delay 1h)
    equal "$(job "$id" pos worker_id)" "null|null"
    sql "SELECT awa.deregister_worker($secret)"
}

a_list_has_filters_and_pages() {
    local i last
    for i in 1 2 3 4 5; do
        insert --kind page --queue pages --tag "tag$i" >/dev/null
    done
    insert --kind other --queue pages --delay 1h >/dev/null
    exits 0 "$awa" job list --queue pages --limit 4
    equal "$(wc -l <<<"$out")" 5
    contains "$(head -n 1 <<<"$out")" "id  kind   queue  state      attempt  when"
    contains "$(sed -n 2p <<<"$out")" "other  pages  scheduled  0/25     in 60m"
    last=$(tail -n 1 <<<"$out" | awk '{print $1}')
    contains "$err" "--before $last"
    exits 0 "$awa" job list --queue pages --limit 4 --before "$last"
    equal "$(wc -l <<<"$out")" 3
    equal "$err" ""
    exits 0 "$awa" job list --queue pages --kind page --json
    equal "$(python3 -c 'import json, sys; print(len(json.load(sys.stdin)))' <<<"$out")" 5
    exits 0 "$awa" job list --tag tag3 --json
    equal "$(json 0.tags.0 <<<"$out")" tag3
    exits 0 "$awa" job list --state failed --json
    equal "$out" "[]"
    exits 0 "$awa" job list --queue nowhere
    exits 2 "$awa" job list --state sleeping
    contains "$err" "state: want scheduled, available, "
    exits 2 "$awa" job list --limit 0
    contains "$err" "--limit: want more than 0, got 0"
}

a_job_is_shown_to_people_and_programs() {
    local id
    id=$(insert --kind shown --args '{"a": {"b": 1}}' --max-attempts 1 --tag t)
    run_jobs --kind shown --exec "printf 'one\ntwo\033[31m\n' >&2; exit 1"
    exits 0 "$awa" job show "$id"
    contains "$out" "state     failed"
    contains "$out" "attempt   1 of 1"
    contains "$out" $'args      {\n              "a": {\n                  "b": 1'
    contains "$out" $'          exit code 1: one\n          two\xef\xbf\xbd[31m'
    exits 0 "$awa" job show "$id" --json
    equal "$(json errors.0.error <<<"$out")" $'exit code 1: one\ntwo\033[31m'
    exits 3 "$awa" job show 999999999
    contains "$err" "job 999999999: not known"
    equal "$out" ""
    exits 3 "$awa" job show 999999999 --json
    local bad
    for bad in x 0 -1 1x ' 1' 99999999999999999999; do
        exits 2 "$awa" job show -- "$bad"
        contains "$err" "is no id of a job"
    done
}

an_explanation_is_a_sentence_with_a_hint() {
    local id
    id=$(insert --kind why --queue why)
    exits 0 "$awa" job explain "$id"
    contains "$out" "no worker serves queue why"
    contains "$out" "    awa work --queue why"
    "$awa" queue pause why --quiet
    exits 0 "$awa" job explain "$id"
    contains "$(head -n 1 <<<"$out")" "queue why is paused"
    contains "$(sed -n 2p <<<"$out")" "    awa queue resume why"
    exits 0 "$awa" job explain "$id" --json
    contains "$(json 0.finding <<<"$out")" "queue why is paused"
    exits 3 "$awa" job explain 999999999
    exits 3 "$awa" job explain 999999999 --json
    equal "$out" ""
}

jobs_are_cancelled_and_retried() {
    local one two
    one=$(insert --kind x)
    two=$(insert --kind x --delay 1h)
    exits 0 "$awa" job cancel "$one" "$two" --reason 'not "now"'
    contains "$err" "job $one: cancelled"
    equal "$(job "$one" state errors.0.error)" 'cancelled|not "now"'
    equal "$(job "$two" state)" cancelled
    exits 3 "$awa" job cancel "$one"
    contains "$err" "job $one: not known, or in no state to be cancelled"
    two=$(insert --kind x --unique-key order-4711)
    exits 0 "$awa" job cancel --unique-key order-4711 --json
    equal "$out" "{\"id\": $two}"
    equal "$(job "$two" state)" cancelled
    exits 3 "$awa" job cancel --unique-key order-4711
    contains "$err" "no live job holds the unique key order-4711"
    exits 2 "$awa" job cancel
    exits 2 "$awa" job cancel "$two" --unique-key order-4711
    exits 0 "$awa" job retry "$one" --quiet
    equal "$err" ""
    equal "$(job "$one" state attempt)" "available|0"

    # What goes wrong with one does not keep the others from it.
    exits 3 "$awa" job retry 999999999 "$two"
    contains "$err" "job 999999999: not known"
    equal "$(job "$two" state)" available
    exits 2 "$awa" job cancel "$two" nonsense
    equal "$(job "$two" state)" available
    exits 2 "$awa" job cancel
}

tables_fit_the_terminal() {
    insert --kind "$(printf 'long%.0s' {1..40})" --queue wide >/dev/null
    python3 - "$awa" <<'END'
import fcntl, os, pty, struct, subprocess, sys, termios
leader, terminal = pty.openpty()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
env = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "dumb"}
subprocess.run([sys.argv[1], "job", "list", "--queue", "wide"], stdout=terminal, env=env, check=True)
lines = os.read(leader, 10000).decode().replace("\r", "").splitlines()
assert len(lines) == 2, lines
assert max(map(len, lines)) <= 60, lines
assert "long" in lines[1] and "…" in lines[1], lines
END
}

completion_knows_the_commands() {
    exits 0 "$awa" completion bash
    (
        eval "$out"
        complete_words() {
            COMP_WORDS=("$@")
            COMP_CWORD=$(($# - 1))
            _awa
            echo "${COMPREPLY[*]}"
        }
        equal "$(complete_words awa job e)" explain
        equal "$(complete_words awa job insert --u)" --unique-key
        equal "$(complete_words awa queue dr)" drain
        equal "$(complete_words awa work --un)" --until-empty
        equal "$(complete_words awa st)" storage
    )
}

a_job_is_waited_for() {
    local id
    "$awa" work --queue waited --quiet --exec 'case $(cat) in *fail*) echo bad >&2; exit 65 ;; esac; echo plain' \
        </dev/null 2>"$work/worker" &
    worker=$!
    exits 0 "$awa" job insert --kind x --queue waited --wait --timeout 20s
    equal "$out" plain
    contains "$err" "waiting for job "
    exits 4 "$awa" job insert --kind x --queue waited --args '{"fail": true}' --wait
    equal "$out" ""
    contains "$err" "failed: exit code 65: bad"
    exits 4 "$awa" job insert --kind x --queue waited --args '{"fail": true}' --wait --quiet
    contains "$err" "failed: exit code 65: bad"
    exits 2 "$awa" job insert --kind x --queue waited --wait --skip-duplicates
    id=$(insert --kind x --queue waited)
    exits 0 "$awa" job wait "$id" --timeout 20s --json
    equal "$(json id state output.stdout <<<"$out")" "$id|completed|plain"
    kill -TERM $worker
    wait $worker
    id=$(insert --kind x --queue waited)
    exits 1 "$awa" job wait "$id" --timeout 100ms
    contains "$err" "has not ended in time"
    exits 3 "$awa" job wait 99999999 --timeout 1s
    exits 2 "$awa" job insert - --wait
    exits 2 "$awa" job insert --kind x --timeout 1s
}

run_tests a_missing_schema_says_what_to_do an_insert_prints_the_id \
    every_option_of_an_insert_arrives a_bad_insert_names_the_field a_duplicate_is_refused \
    a_time_is_in_the_zone_of_who_types_it \
    numbers_beyond_2_to_the_53rd_are_strings a_list_has_filters_and_pages a_job_is_shown_to_people_and_programs \
    an_explanation_is_a_sentence_with_a_hint jobs_are_cancelled_and_retried \
    tables_fit_the_terminal completion_knows_the_commands \
    a_job_is_waited_for
