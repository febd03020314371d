#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa migrate.
. "$(dirname "$0")/../support/cli.sh"

the_first_one_applies_everything() {
    exits 0 "$awa" migrate --dev --json
    local report=$out
    equal "$(field "$report" from)" 0
    equal "$(field "$report" applied)" "$(field "$report" to)"
    equal "$(field "$report" engine_applied)" True
}

field() {
    python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$1" "$2"
}

the_second_one_does_nothing() {
    exits 0 "$awa" migrate --dev
    equal "$out" "nothing to do"
    exits 0 "$awa" migrate --dev --quiet
    equal "$out" ""
}

# One of them does the work, the other one waits and finds it done.
two_at_once_are_as_good_as_one() {
    exits 0 "$awa" dev start
    local dsn="$out dbname=twice" first second
    psql_dev 'CREATE DATABASE twice'
    "$awa" migrate --dsn "$dsn" --json >"$work/first" &
    first=$!
    "$awa" migrate --dsn "$dsn" --json >"$work/second" &
    second=$!
    wait $first
    wait $second
    equal "$(grep -c '"engine_applied" : true' "$work/first" "$work/second" | grep -c ':1')" 1
}

psql_dev() {
    "$awa" dev psql -- -XqAtc "$1"
}

a_newer_schema_is_refused_with_what_to_do() {
    psql_dev "INSERT INTO awa.schema_migrations (version, name, checksum)
              SELECT max(version) + 1, 'next', 'x' FROM awa.schema_migrations"
    exits 1 "$awa" migrate --dev
    contains "$err" "install the awa that made it"
}

run_tests the_first_one_applies_everything the_second_one_does_nothing \
    two_at_once_are_as_good_as_one a_newer_schema_is_refused_with_what_to_do
