#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa work: how it ends, politely or not; and what happens to its jobs.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

# What a test that failed has left running.
end_workers() {
    local pid
    while read -r pid; do
        kill -9 "$pid" 2>/dev/null
    done <"$work/workers"
}
trap 'end_workers; tidy_up' EXIT
touch "$work/workers"

# start_worker OPTION...: in the background; its number is $worker, what it says in $work/worker.
start_worker() {
    "$awa" work "$@" </dev/null >/dev/null 2>"$work/worker" &
    worker=$!
    echo $worker >>"$work/workers"
    wait_until 10 drains_on_a_signal
}

# Before, a signal ends it at once. It reads signals, SIGHUP among them (bit 0), while it blocks them.
drains_on_a_signal() {
    grep -q '^SigBlk:.*[13579bdf]$' "/proc/$worker/status"
}

# ends_with CODE: the worker, within some seconds.
ends_with() {
    local code=0
    wait_until 20 ended "$worker"
    wait "$worker" || code=$?
    [ "$code" -eq "$1" ] && return
    echo "exit code $code, want $1"
    cat "$work/worker"
    exit 1
}

ended() {
    [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

exists() {
    [ -s "$1" ]
}

the_first_signal_lets_jobs_finish_and_gives_the_others_back() {
    local first i ids=()
    mkfifo "$work/gate"
    for i in 1 2 3 4 5; do
        ids+=("$(insert --kind x --queue drain)")
    done
    first=${ids[0]}
    start_worker --queue drain --threads 1 --prefetch 10 \
        --exec "echo x >$work/began; read line <$work/gate; echo \$line"
    wait_until 10 exists "$work/began"
    kill -TERM "$worker"
    # One job runs on; the others are free for another worker before it has ended.
    wait_until 10 is_state "${ids[4]}" available
    for i in 1 2 3 4; do
        equal "$(job "${ids[i]}" state attempt errors)" "available|0|null"
    done
    equal "$(job "$first" state attempt)" "running|1"
    echo finished >"$work/gate"
    ends_with 0
    equal "$(job "$first" state output.stdout)" "completed|finished"
    contains "$(cat "$work/worker")" "1 jobs completed, 0 ended otherwise, 4 given back"
    equal "$(sql "SELECT count(*) FROM awa.workers WHERE ended_at IS NULL")" 0
}

a_second_signal_stops_what_runs() {
    local id
    id=$(insert --kind x --queue stop)
    start_worker --queue stop --exec "echo \$\$ >$work/pid; exec sleep 1000"
    wait_until 10 exists "$work/pid"
    kill -INT "$worker"
    wait_until 5 grep -q "finishing what runs" "$work/worker"
    sleep 0.6 # what comes within half a second is one signal
    kill -INT "$worker"
    ends_with 1
    ended "$(cat "$work/pid")"
    equal "$(job "$id" attempt)" 1
    contains "$(job "$id" errors.0.error)" "the worker stopped after"
    contains "available retryable" "$(job "$id" state)"
}

a_third_signal_ends_it_at_once() {
    insert --kind x --queue at-once >/dev/null
    start_worker --queue at-once \
        --exec "trap '' TERM; echo \$\$ >$work/deaf; while :; do sleep 1000; done"
    wait_until 10 exists "$work/deaf"
    kill -TERM "$worker"
    wait_until 5 grep -q "finishing what runs" "$work/worker"
    sleep 0.6
    kill -TERM "$worker"
    wait_until 5 grep -q "stopping what runs" "$work/worker"
    sleep 0.6
    kill -TERM "$worker"
    ends_with 143
    kill -9 -- "-$(cat "$work/deaf")"
}

# timeout(1) signals its child, and then the group that the child is in.
signals_that_come_together_are_one() {
    local id
    id=$(insert --kind x --queue together)
    timeout -s TERM 3 "$awa" work --queue together \
        --exec "echo x >$work/begun; until [ -e $work/told ]; do sleep 0.05; done; sleep 0.3" \
        </dev/null >/dev/null 2>"$work/worker" &
    worker=$!
    wait_until 10 exists "$work/begun"
    wait_until 10 grep -q "finishing what runs" "$work/worker"
    touch "$work/told"
    ends_with 124
    equal "$(job "$id" state attempt)" "completed|1"
    contains "$(cat "$work/worker")" "1 jobs completed, 0 ended otherwise"
    # And so do supervisors that repeat themselves.
    id=$(insert --kind x --queue together)
    rm "$work/told" "$work/begun"
    start_worker --queue together \
        --exec "echo x >$work/begun; until [ -e $work/told ]; do sleep 0.05; done"
    wait_until 10 exists "$work/begun"
    kill -TERM "$worker"
    kill -INT "$worker"
    kill -HUP "$worker"
    wait_until 5 grep -q "finishing what runs" "$work/worker"
    touch "$work/told"
    ends_with 0
    equal "$(job "$id" state attempt)" "completed|1"
}

# inherit COMMAND...: orphans become children of that process, as in a container's process 1.
inherit() {
    python3 -c '
import ctypes, os, sys
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}

# as_process_1 COMMAND...: in a container of its own, where that is allowed.
as_process_1() {
    unshare "${container[@]}" --pid --fork --mount-proc --kill-child "$@"
}

# reaps_orphans HOW: 20 jobs leave an orphan each, the last one looks what has become of them.
reaps_orphans() {
    local look
    cat >"$work/orphans" <<'END'
#!/bin/bash
case $AWA_KIND in
leave) setsid sleep 0.01 </dev/null >/dev/null 2>&1 & exit $((AWA_JOB_ID % 2 * 65)) ;;
look)
    parent=$PPID
    zombies() { grep -lE "^[0-9]+ \((sleep|setsid)\) Z $parent " /proc/[0-9]*/stat 2>/dev/null; }
    alive() { grep -lE "^[0-9]+ \((sleep|setsid)\) [^Z] $parent " /proc/[0-9]*/stat 2>/dev/null; }
    # Another program may just be leaving an orphan: it is over when none is seen five times.
    deadline=$((SECONDS + 10)) none=0
    while [ $none -lt 5 ] && [ $SECONDS -lt $deadline ]; do
        none=$((none + 1))
        [ -z "$(zombies)$(alive)" ] || none=0
        sleep 0.05
    done
    [ $none -ge 5 ] || zombies || true
    ;;
esac
END
    chmod +x "$work/orphans"
    yes "{\"kind\": \"leave\", \"queue\": \"$1\", \"max_attempts\": 1}" | head -n 20 |
        "$awa" job insert - --quiet
    look=$(insert --kind look --queue "$1" --priority 4)
    "$1" "$awa" work --until-empty --threads 4 --queue "$1" --exec "$work/orphans" -- x \
        </dev/null 2>"$work/worker" || true
    # No orphan took the place of a program: each has the exit code that it ended with.
    equal "$(sql "SELECT count(*), bool_and(state::text = CASE id % 2 WHEN 1 THEN 'failed'
                                                       ELSE 'completed' END)
                    FROM awa.jobs WHERE queue = '$1' AND kind = 'leave'")" "20|t"
    equal "$(job "$look" state output)" "completed|null"
}

what_lost_its_parent_is_reaped() {
    reaps_orphans inherit
}

process_1_of_a_container_reaps_too() {
    container=()
    as_process_1 true 2>/dev/null || container=(--user --map-root-user)
    as_process_1 true 2>/dev/null || return 0 # not allowed here
    reaps_orphans as_process_1
}

draining_may_have_a_limit() {
    insert --kind x --queue limit >/dev/null
    start_worker --queue limit --drain-timeout 100ms \
        --exec "echo \$\$ >$work/slow; exec sleep 1000"
    wait_until 10 exists "$work/slow"
    kill -TERM "$worker"
    ends_with 1
    ended "$(cat "$work/slow")"
}

an_idle_worker_ends_at_once() {
    start_worker --queue idle --exec true
    kill -HUP "$worker"
    ends_with 0
}

a_cancelled_job_is_ended() {
    local id
    id=$(insert --kind x --queue cancel)
    start_worker --queue cancel --exec "echo \$\$ >$work/cancelled; exec sleep 1000"
    wait_until 10 exists "$work/cancelled"
    exits 0 "$awa" job cancel "$id" --reason "no longer wanted"
    equal "$(job "$id" state errors.0.error)" "cancelled|no longer wanted"
    wait_until 5 ended "$(cat "$work/cancelled")"
    kill -TERM "$worker"
    ends_with 0
    equal "$(job "$id" state)" cancelled
}

the_job_of_a_killed_worker_runs_again_within_10_s() {
    local id first second began patience=10
    [ -z "${AWA_TEST_POOLER:-}" ] || patience=20 # only its silence tells, see worker_lease
    id=$(insert --kind x --queue rescue)
    start_worker --queue rescue --exec "echo \$\$ >$work/orphan; exec sleep 1000"
    first=$worker
    wait_until 10 exists "$work/orphan"
    start_worker --queue rescue --exec "printf again"
    second=$worker
    kill -KILL "$first"
    began=$SECONDS
    wait_until 5 ended "$(cat "$work/orphan")"
    wait_state "$patience" "$id" completed
    [ $((SECONDS - began)) -le "$patience" ]
    equal "$(job "$id" attempt output.stdout errors.0.outcome)" "2|again|rescued"
    worker=$second
    kill -TERM "$worker"
    ends_with 0
}

# The first look whether the queues are empty takes longer than anybody waits for an answer.
a_server_that_does_not_answer_is_asked_again() {
    sql "CREATE SEQUENCE public.looks;
         ALTER FUNCTION awa.promote_jobs RENAME TO promote_jobs_at_once;
         CREATE FUNCTION awa.promote_jobs(p_after timestamptz, OUT promoted int, OUT up_to timestamptz)
         LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN
             IF nextval(''public.looks'') = 1 THEN PERFORM pg_sleep(100); END IF;
             SELECT p.* INTO promoted, up_to FROM awa.promote_jobs_at_once(p_after) AS p;
         END'"
    run_jobs --exec true
    contains "$(cat "$work/worker")" "leader_promote: no answer for 40000 ms"
    sql "DROP FUNCTION awa.promote_jobs;
         ALTER FUNCTION awa.promote_jobs_at_once RENAME TO promote_jobs"
}

# Longer than it waits for work that nobody can claim; and then it brings nothing.
a_claim_that_takes_long_is_waited_for() {
    local i
    for i in 1 2 3; do
        insert --kind x --queue slow >/dev/null
    done
    sql "CREATE SEQUENCE public.slow_claims;
         ALTER FUNCTION awa.claim_jobs RENAME TO claim_jobs_at_once;
         CREATE FUNCTION awa.claim_jobs(p_worker bigint, p_queue text, p_max int)
         RETURNS TABLE (pos bigint, id bigint, claim_id bigint, ready_slot smallint,
                        attempt smallint, max_attempts smallint, kind text, args jsonb,
                        metadata jsonb, tags text[], enqueued_at timestamptz, deadline_at timestamptz)
         LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN
             IF nextval(''public.slow_claims'') = 1 THEN PERFORM pg_sleep(7); RETURN; END IF;
             RETURN QUERY SELECT c.* FROM awa.claim_jobs_at_once(p_worker, p_queue, p_max) AS c;
         END'"
    run_jobs --queue slow --threads 1 --prefetch 10 --exec true
    sql "DROP FUNCTION awa.claim_jobs;
         ALTER FUNCTION awa.claim_jobs_at_once RENAME TO claim_jobs"
    equal "$(sql "SELECT DISTINCT state, attempt FROM awa.jobs WHERE queue = 'slow'")" "completed|1"
}

# Nobody else rescues it: the leader is gone, and its term has not ended yet.
what_a_dead_worker_holds_is_work_too() {
    local id lease
    id=$(insert --kind x --queue left)
    lease=$(sql "SELECT leader_lease FROM awa.settings")
    sql "UPDATE awa.settings SET leader_lease = '1 h';
         INSERT INTO awa.leaders (term, worker_id) SELECT coalesce(max(term), 0) + 1, 0 FROM awa.leaders;
         SELECT setval('awa.leader_until', awa.to_ms(now() + interval '59 min'))"
    sql "SELECT awa.register_worker(7, 'dead', '{left}', p_session => false);
         SELECT awa.claim_jobs(7, 'left', 1); SELECT awa.deregister_worker(7)"
    equal "$(job "$id" state)" running
    run_jobs --queue left --exec true
    equal "$(job "$id" state attempt errors.0.error)" "completed|2|worker dead ended"
    sql "UPDATE awa.settings SET leader_lease = '$lease'; SELECT setval('awa.leader_until', 0)"
}

run_tests the_first_signal_lets_jobs_finish_and_gives_the_others_back \
    a_second_signal_stops_what_runs a_third_signal_ends_it_at_once signals_that_come_together_are_one \
    what_lost_its_parent_is_reaped process_1_of_a_container_reaps_too draining_may_have_a_limit \
    an_idle_worker_ends_at_once a_cancelled_job_is_ended \
    the_job_of_a_killed_worker_runs_again_within_10_s \
    a_server_that_does_not_answer_is_asked_again a_claim_that_takes_long_is_waited_for \
    what_a_dead_worker_holds_is_work_too
