#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Logical replication of a whole database while jobs are inserted and run, and the move to the other
# cluster: each job that was inserted ends once, here or there.
. "$(dirname "$0")/../support/cli.sh"

here=$AWA_DEV_DIR
there=${AWA_DEV_DIR%-*}-there-$$
trap 'for dir in "$here" "$there"; do AWA_DEV_DIR=$dir tidy_up; done' EXIT

# pg_dump wants a server that is not newer than itself.
major=$(pg_dump --version | grep -oE '[0-9]+' | head -n 1)
bindir=/usr/lib/postgresql/$major/bin
[ -d "$bindir" ] || bindir=${AWA_PG_BINDIR:-}

# on_here COMMAND...: with the programs of the server that is left.
on_here() {
    env ${bindir:+AWA_PG_BINDIR="$bindir"} "$@"
}

from=$(on_here "$awa" dev start --quiet --dir "$here")
psql -Xq -d "$from" -c "ALTER SYSTEM SET wal_level = logical"
on_here "$awa" dev stop --quiet --dir "$here"
on_here "$awa" dev start --quiet --dir "$here" >/dev/null
to=$("$awa" dev start --quiet --dir "$there")

# sql DSN TEXT
sql() {
    psql -XqAt -v ON_ERROR_STOP=1 -d "$1" -c "$2" </dev/null
}

# Inserts until the file `stop` is there, and writes down what it got; some roll back.
produce() {
    local n=0
    while [ -d "$work" ] && [ ! -e "$work/stop" ]; do
        n=$((n + 1))
        sql "$from" "BEGIN; SELECT awa.insert_job('k', p_queue => 'q'); ROLLBACK" >/dev/null
        sql "$from" "SELECT awa.insert_job('k', p_queue => 'q') FROM generate_series(1, 5);
                     INSERT INTO business (n) VALUES ($n)" >>"$work/inserted"
        sql "$from" "SELECT awa.insert_job('k', p_queue => 'q', p_delay => '200 ms')" \
            >>"$work/inserted"
    done
}

# work DSN NAME: a worker, whose attempts begin in the file `ran`; sets $worker.
work() {
    timeout 120 "$awa" work --dsn "$1" --queue q --queue late --queue new --threads 3 \
        --exec "echo \$AWA_JOB_ID >>$work/ran; sleep 0.02" </dev/null >"$work/$2" 2>&1 &
    worker=$!
}

# at_least N FILE
at_least() {
    [ "$(wc -l <"$2")" -ge "$1" ]
}

is_copied() {
    [ "$(sql "$to" "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'")" = 0 ]
}

# What was committed before $1, a place in the log, has arrived.
has_arrived() {
    [ "$(sql "$from" "SELECT confirmed_flush_lsn >= '$1' FROM pg_replication_slots")" = t ]
}

# first_slot_is_empty DSN
first_slot_is_empty() {
    [ "$(sql "$1" "SELECT bytes FROM awa.ring_slots() WHERE ready_slot = 0")" = 0 ]
}

# How many rows a table has, on both sides.
are_equal() {
    [ "$(sql "$from" "SELECT count(*) FROM $1")" = "$(sql "$to" "SELECT count(*) FROM $1")" ]
}

a_subscription_follows_under_load() {
    sql "$from" "CREATE TABLE business (n int PRIMARY KEY)"
    "$awa" migrate --dsn "$from" --quiet
    "$awa" job insert --kind k --queue q --dsn "$from" </dev/null >"$work/inserted"
    : >"$work/ran"
    produce >"$work/producer" 2>&1 &
    producer=$!
    work "$from" first
    wait_until 20 at_least 30 "$work/ran"

    "$awa" migrate --roles --dsn "$to" >"$work/roles.sql"
    psql -Xq -v ON_ERROR_STOP=1 -d "$to" -f "$work/roles.sql"
    pg_dump --schema-only -d "$from" | psql -Xq -v ON_ERROR_STOP=1 -d "$to" >/dev/null
    sql "$from" "CREATE PUBLICATION all_tables FOR ALL TABLES"
    sql "$to" "CREATE SUBSCRIPTION move CONNECTION '$from' PUBLICATION all_tables" 2>/dev/null
    wait_until 60 is_copied
    # A queue that the subscriber has never seen.
    sql "$from" "SELECT awa.insert_job('k', p_queue => 'late')" >>"$work/inserted"
    # The ring turns, and its first slot is emptied, on both sides.
    wait_until 20 at_least 200 "$work/ran"
    sql "$from" "UPDATE awa.settings SET completed_retention = '0 s';
                 SELECT awa.rotate_ring(true)" >/dev/null
    wait_until 30 first_slot_is_empty "$from"
    wait_until 30 first_slot_is_empty "$to"
    touch "$work/stop"
    wait "$producer"
    kill -9 "$worker" # with jobs that run, or have run and were not written down
    wait "$worker" || true
    local lsn
    lsn=$(sql "$from" "SELECT pg_current_wal_insert_lsn()")
    wait_until 30 has_arrived "$lsn"
    wait_until 30 are_equal business
    for table in ready_entries claims closures deferred_jobs lanes queues; do
        wait_until 30 are_equal "awa.$table"
    done
}

the_other_cluster_takes_over() {
    local twice
    sql "$to" "DROP SUBSCRIPTION move" 2>/dev/null
    exits 1 "$awa" migrate --check --dsn "$to"
    exits 0 "$awa" migrate --dsn "$to"
    contains "$out" "sequence awa.job_ids: "
    contains "$out" "sequence awa.claim_ids: "
    contains "$out" "database: "
    exits 0 "$awa" migrate --check --dsn "$to"
    exits 0 "$awa" storage rebuild-terminal-counters --check --dsn "$to"
    cp "$work/ran" "$work/ran.before"
    work "$to" second
    "$awa" job insert --kind k --queue q --dsn "$to" </dev/null >>"$work/inserted"
    "$awa" job insert --kind k --queue new --dsn "$to" </dev/null >>"$work/inserted"
    wait_until 60 all_have_ended
    kill "$worker"
    wait "$worker" || true
    equal "$(sort "$work/inserted" | uniq -d)" ""
    equal "$(sort "$work/ran" | comm -13 - <(sort "$work/inserted"))" ""
    # Only what the killed worker had begun may have begun again: at most a job a thread, and what its
    # last flush did not reach.
    twice=$(sort "$work/ran" | uniq -d | wc -l)
    [ "$twice" -le 30 ] || { echo "$twice jobs ran twice"; exit 1; }
    exits 0 "$awa" storage rebuild-terminal-counters --check --dsn "$to"
}

all_have_ended() {
    [ "$(sql "$to" "SELECT sum(completed + pruned_completed) FROM awa.queue_counts()")" = \
        "$(wc -l <"$work/inserted")" ]
}


run_tests a_subscription_follows_under_load the_other_cluster_takes_over
