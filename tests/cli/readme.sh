#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the README shows works as printed. Arguments after the executable: the quickstart, the
# folder of the README, whether the build is plain (else a compiler cannot link with it alone), the
# example with an event loop, and the one that looks.
. "$(dirname "$0")/../support/cli.sh"

quickstart=$2
root=$3
kind=$4
pull=$5
look=$6
built=$(cd "$(dirname "$awa")" && pwd)
export PATH=$built:$PATH

# block LANGUAGE WORDS: the fenced block that holds these words.
block() {
    awk -v fence="\`\`\`$1" -v words="$2" '
        $0 == "```" { if (inside && index(text, words)) printf "%s", text; inside = 0 }
        inside { text = text $0 "\n" }
        $0 == fence { inside = 1; text = "" }' "$root/README.md"
}

ask() {
    awa dev psql -- -XqAtc "$1" </dev/null
}

# The lines one by one; the one that works for ever is told to end when there is nothing to do.
the_shell_example_runs_as_printed() {
    local line n=0
    cd "$work"
    printf '#!/bin/sh\ncat >got.json\n' >resize.sh
    chmod +x resize.sh
    while read -r line; do
        n=$((n + 1))
        case $line in
        'awa work '*)
            eval "env --default-signal=INT ${line%%#*} &"
            wait_until 20 job_1_is_completed
            kill -INT $!
            wait $!
            ;;
        *) eval "$line" >said ;;
        esac
    done < <(block sh 'awa work')
    equal "$n" 6
    contains "$(cat said)" "completed after 1 attempts"
    contains "$(cat got.json)" '"args":{"file": "a.png"}'
}

job_1_is_completed() {
    [ "$(ask 'SELECT state FROM awa.get_job(1)')" = completed ]
}

the_sql_example_runs_as_printed() {
    ask 'CREATE TABLE orders (id int, total int)'
    block sql insert_job >"$work/example.sql"
    equal "$(awa dev psql -- -XqAt -v ON_ERROR_STOP=1 <"$work/example.sql")" \
        "$(printf '2\n2|scheduled|0|')"
    equal "$(ask 'SELECT count(*) FROM orders')" 1
}

the_c_example_greets_three_times() {
    ask 'CREATE DATABASE quickstart'
    exits 0 "$quickstart" "$(awa dev start) dbname=quickstart"
    equal "$(sed 's/job [0-9]*: //' <<<"$out" | sort | uniq -c | tr -s ' ')" \
        ' 3 {"name": "river"}'
    exits 1 "$quickstart" host=/nowhere
    contains "$err" "connect: "
}

# Against the library as it was built: pkg-config prefers what is not installed.
the_c_example_is_built_as_printed() {
    [ "$kind" = plain ] || return 0
    cd "$work"
    ln -s "$root/examples" examples
    export PKG_CONFIG_PATH=$built/meson-uninstalled LD_LIBRARY_PATH=$built
    eval "$(block sh pkg-config)"
    exits 0 ./quickstart "$(awa dev start) dbname=quickstart"
}

# Two hundred attempts wait at once, in a program without a thread of its own.
the_example_with_an_event_loop_takes_what_it_wants() {
    local dsn began=$SECONDS
    ask 'CREATE DATABASE pulled'
    dsn="$(awa dev start) dbname=pulled"
    awa --dsn "$dsn" migrate >/dev/null
    psql -Xqd "$dsn" -c "SELECT count(awa.insert_job('k')) FROM generate_series(1, 200)" >/dev/null
    exits 0 "$pull" "$dsn" 200
    [ $((SECONDS - began)) -lt 15 ] # one after the other they would take 20 s
    equal "$(psql -XqAtd "$dsn" -c "SELECT count(*) FROM awa.jobs WHERE state = 'completed'")" 200
}

# A program that sees awa.h and nothing else works, counts, lists and explains.
the_example_that_looks_tells_what_became_of_its_jobs() {
    local dsn
    ask 'CREATE DATABASE looked'
    dsn="$(awa dev start) dbname=looked"
    awa --dsn "$dsn" migrate >/dev/null
    exits 0 "$look" "$dsn"
    equal "$(python3 -c '
import json, sys
text, values = sys.stdin.read().strip(), []
while text:
    value, end = json.JSONDecoder().raw_decode(text)
    values.append(value)
    text = text[end:].strip()
counts, listed, findings = values
print(counts[0]["completed"], counts[0]["failed"], len(listed), listed[0]["errors"][0]["error"],
      findings[0]["finding"], sep="|")' <<<"$out")" \
        "1|1|1|division by zero|failed after 1 attempts"
    exits 1 "$look" host=/nowhere
    contains "$err" "connect: "
}

run_tests the_shell_example_runs_as_printed the_sql_example_runs_as_printed \
    the_c_example_greets_three_times the_c_example_is_built_as_printed \
    the_example_with_an_event_loop_takes_what_it_wants \
    the_example_that_looks_tells_what_became_of_its_jobs
