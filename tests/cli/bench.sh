#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa bench: that it measures what it says, not how much.
. "$(dirname "$0")/../support/cli.sh"

# holds EXPRESSION...: about the object d that was printed; what they ask for must be there.
holds() {
    python3 -c 'import json, sys
d = json.loads(sys.argv[1])
for e in sys.argv[2:]:
    assert eval(e), f"{e} does not hold in {sys.argv[1]}"' "$out" "${@//$'\n'/ }"
}

# What every flow of jobs reports.
keys='{"jobs_per_s", "floor_jobs_per_s", "floor_ratio", "pickup_ms", "e2e_ms", "wal_bytes_per_job",
       "commits_per_job", "ring_updates", "ring_deletes", "dead_tuples", "cpu_s", "lost",
       "duplicated"} <= d.keys()
       and {"p50", "p95", "p99", "max"} == d["pickup_ms"].keys() == d["e2e_ms"].keys()
       and {"client", "server"} == d["cpu_s"].keys()'
sound='d["lost"] == 0 and d["duplicated"] == 0 and d["jobs"] > 0
       and d["ring_inserts"] > 0 and d["ring_updates"] == 0 and d["ring_deletes"] == 0'

# Of jobs that ran.
times='all(0 < d[k]["p50"] <= d[k]["p95"] <= d[k]["p99"] <= d[k]["max"] < 60000
       for k in ("pickup_ms", "e2e_ms")) and d["pickup_ms"]["max"] <= d["e2e_ms"]["max"]'

bench() {
    exits 0 "$awa" bench "$@" --dev --json
    nothing_is_left
}

nothing_is_left() {
    equal "$("$awa" dev psql -- -XqAtc \
        "SELECT count(*) FROM pg_database WHERE datname LIKE 'awa_bench%'")" 0
}

insert_counts_what_was_committed() {
    bench insert --seconds 1 --warmup 0 --floor --shards 4
    holds "$keys" "$sound" '0 < d["floor_ratio"] < 10 and d["insert_ms"]["p50"] > 0' \
        '75 < d["wal_bytes_per_job"] < 2000 and 0.0005 < d["commits_per_job"] < 0.2' \
        'd["ring_inserts"] >= d["jobs"]' \
        'd["cpu_s"]["client"] > 0 and d["cpu_s"]["server"] > 0' 'd["e2e_ms"]["p50"] is None'
}

drain_ends_with_the_last_job() {
    bench drain --jobs 5000 --workers 2 --handler-us 10
    holds "$keys" "$sound" "$times" 'd["jobs"] == 5000'
}

rounds_are_summed_up() {
    bench drain --jobs 100 --claim-batch 1 --threads 1 --prefetch -1 --repeat 2
    holds "$keys" "$sound" "$times" 'd["rounds"] == 2 and d["queries_per_job"] > 1' \
        'd["min"]["jobs_per_s"] <= d["jobs_per_s"] <= d["max"]["jobs_per_s"]'
}

a_closed_loop_keeps_its_depth() {
    bench steady --seconds 1 --warmup 0 --depth 50 --hold-snapshot --door one
    holds "$keys" "$sound" "$times" 'd["options"]["depth"] == 50' \
        'd["late_ms"]["p50"] is None and d["commits_per_job"] > 0.9'
}

an_open_loop_keeps_its_rate() {
    bench steady --seconds 1 --warmup 0 --rate 200 --handler-us 100 --door sql
    holds "$keys" "$sound" "$times" '100 < d["inserted_per_s"] < 300' \
        'd["late_ms"]["p50"] >= 0'
}

scheduled_compares_two_databases() {
    bench scheduled --rows 2000 --batch 100 --repeat 3
    holds 'd["rows"] == 2000 and d["ratio"] > 0' \
        'all(d[f"{w}_ms_{t}"] > 0 for w in ("promote", "claim") for t in ("empty", "full"))'
}

counts_compares_with_a_scan() {
    bench counts --rows 50000 --batch 500 --repeat 3
    holds 'd["terminal_rows"] == 50000 and d["open_rows"] == 50000' \
        'all(d[k] > 0 for k in ("folded_ms", "unfolded_ms", "scan_ms"))' \
        'abs(d["speedup"] - d["scan_ms"] / d["folded_ms"]) < 0.1'
}

the_ring_turns_while_all_jobs_fail() {
    bench steady --seconds 4 --warmup 0 --depth 500 --fail-percent 100 --slot-bytes 300000 \
        --keep-seconds 1
    holds "$keys" "$sound" 'd["ring_rotations"] > 0 and d["ring_bytes"] > 0' \
        'd["dead_tuples"] == 0'
}

what_cannot_be_is_refused() {
    exits 2 "$awa" bench steady --rate 1 --depth 1 --dev
    exits 2 "$awa" bench insert --payload-bytes 1 --dev
    exits 2 "$awa" bench drain --prefetch many --dev
    contains "$err" "--prefetch: want -1 to"
}

somebody_elses_database_is_left_alone() {
    "$awa" dev psql -- -XqAtc 'CREATE DATABASE awa_bench'
    exits 1 "$awa" bench insert --dev
    contains "$err" "was not made by a bench"
    "$awa" dev psql -- -XqAtc 'DROP DATABASE awa_bench'
}

has_database() {
    [ "$("$awa" dev psql -- -XqAtc "SELECT count(*) FROM pg_stat_activity
          WHERE datname = 'awa_bench'")" -gt 2 ]
}

a_second_one_is_refused_and_a_signal_tidies_up() {
    local pid code=0
    "$awa" bench steady --seconds 60 --dev 2>"$work/err" &
    pid=$!
    wait_until 20 has_database
    exits 1 "$awa" bench insert --dev
    contains "$err" "another one runs"
    kill -TERM $pid
    wait $pid || code=$?
    equal $code 143
    contains "$(cat "$work/err")" "interrupted"
    nothing_is_left
}

a_killed_one_is_cleared_away_and_people_get_a_table() {
    "$awa" bench steady --seconds 60 --dev 2>/dev/null &
    local pid=$!
    wait_until 20 has_database
    kill -9 $pid
    wait $pid 2>/dev/null || true
    equal "$("$awa" dev psql -- -XqAtc \
        "SELECT count(*) FROM pg_database WHERE datname = 'awa_bench'")" 1
    exits 0 "$awa" bench drain --jobs 100 --dev
    equal "$err" ""
    contains "$out" "synchronous_commit on"
    contains "$out" "e2e_ms p99"
    nothing_is_left
}

# Databases come and go here, each with a checkpoint.
"$awa" dev start --quiet >/dev/null
"$awa" dev psql -- -XqAtc 'ALTER SYSTEM SET fsync = off' -c 'SELECT pg_reload_conf()' >/dev/null
run_tests insert_counts_what_was_committed drain_ends_with_the_last_job \
    rounds_are_summed_up a_closed_loop_keeps_its_depth an_open_loop_keeps_its_rate \
    scheduled_compares_two_databases counts_compares_with_a_scan \
    the_ring_turns_while_all_jobs_fail what_cannot_be_is_refused \
    somebody_elses_database_is_left_alone a_second_one_is_refused_and_a_signal_tidies_up \
    a_killed_one_is_cleared_away_and_people_get_a_table
