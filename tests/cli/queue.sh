#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# awa queue, worker, storage, health.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

counts_are_exact() {
    exits 0 "$awa" queue stats
    exits 0 "$awa" queue stats --json
    equal "$out" "[]"
    insert --kind x --queue counted >/dev/null
    insert --kind x --queue counted >/dev/null
    insert --kind x --queue counted --delay 1h >/dev/null
    insert --kind x --queue other >/dev/null
    exits 0 "$awa" queue stats counted
    equal "$(sed -n 2p <<<"$out" | tr -s ' ')" "counted 2 1 0 0 0 0 0 0 0"
    exits 0 "$awa" queue stats --json
    equal "$(json 0.queue 0.available 0.scheduled 1.queue 1.available <<<"$out")" \
        "counted|2|1|other|1"
    exits 3 "$awa" queue stats nowhere
    contains "$err" "queue nowhere: not known"
    exits 3 "$awa" queue stats nowhere --json
    equal "$out" ""
}

a_paused_queue_waits() {
    local id
    id=$(insert --kind x --queue halted)
    exits 0 "$awa" queue pause halted
    contains "$err" "queue halted: paused"
    "$awa" work --queue halted --exec true --name 'the "one"' 2>"$work/worker" &
    local worker=$!
    wait_until 10 listed 'the "one"'
    exits 0 "$awa" queue list
    contains "$out" "since "
    exits 0 "$awa" queue list --json
    equal "$(python3 -c 'import json, sys
print([q["paused_by"] is not None for q in json.load(sys.stdin) if q["queue"] == "halted"])' \
        <<<"$out")" "[True]"
    equal "$(job "$id" state)" available
    exits 0 "$awa" queue resume halted --quiet
    equal "$err" ""
    wait_state 10 "$id" completed
    exits 0 "$awa" health
    contains "$out" "workers        yes  1 alive"
    exits 0 "$awa" health --json
    equal "$(json ok checks.0.name checks.0.ok <<<"$out")" "true|workers|true"
    kill $worker
    wait $worker
}

listed() {
    "$awa" worker list --json | grep -qF "$(python3 -c 'import json, sys
print(json.dumps(sys.argv[1]))' "$1")"
}

workers_are_listed() {
    exits 0 "$awa" worker list
    equal "$(wc -l <<<"$out")" 1
    exits 0 "$awa" worker list --json
    equal "$out" "[]"
    exits 0 "$awa" worker list --ended
    contains "$out" 'the "one"  ended  halted  (every)'
}

draining_cancels_what_waits() {
    local i
    for i in 1 2 3; do
        insert --kind x --queue flooded >/dev/null
    done
    insert --kind x --queue flooded --delay 1h >/dev/null
    exits 2 "$awa" queue drain flooded
    contains "$err" "--yes"
    exits 0 "$awa" queue drain flooded --dry-run
    equal "$out" "4 jobs wait"
    exits 0 "$awa" queue drain flooded --yes
    equal "$out" "4 jobs cancelled"
    exits 0 "$awa" queue drain flooded --yes --json
    equal "$(json cancelled <<<"$out")" 0
    exits 0 "$awa" queue stats flooded --json
    equal "$(json 0.available 0.scheduled 0.cancelled <<<"$out")" "0|0|4"
    exits 3 "$awa" queue drain nowhere --yes
}

settings_are_kept_until_reset() {
    setting() {
        "$awa" queue list --json | python3 -c 'import json, sys
for q in json.load(sys.stdin):
    if q["queue"] == "tuned":
        print(q["enqueue_shards"], q["deadline_ms"], q["aging_interval_ms"])'
    }
    exits 2 "$awa" queue set tuned
    contains "$err" "nothing to set"
    exits 0 "$awa" queue set tuned --enqueue-shards 4 --deadline 2m --aging 0s
    equal "$(setting)" "4 120000 0"
    exits 0 "$awa" queue set tuned --deadline 1500ms
    equal "$(setting)" "4 1500 0"
    exits 0 "$awa" queue set tuned --reset --aging 5s
    equal "$(setting)" "4 300000 5000"
    exits 2 "$awa" queue set tuned --enqueue-shards 65
    contains "$err" "enqueue_shards: want 1 to 64, got 65"
    exits 2 "$awa" queue set tuned --deadline 5
    exits 2 "$awa" queue set "$(printf 'q%.0s' {1..201})" --deadline 5s
    contains "$err" "queue: want 1 to 200 bytes, got 201"
}

each_setting_has_a_switch_and_a_default() {
    setting() {
        "$awa" queue list --json | python3 -c 'import json, sys
for q in json.load(sys.stdin):
    if q["queue"] == "kept":
        print(q["dlq_enabled"], *(q[k + "_retention_ms"] // 3600000
                                  for k in ("completed", "failed", "dlq")),
              q["enqueue_shards"], q["deadline_ms"], q["aging_interval_ms"])'
    }
    exits 0 "$awa" queue set kept --dlq on --keep-completed 2h --keep-failed 3h --keep-dead 90d \
        --enqueue-shards 2 --deadline 1s --aging 2s
    equal "$(setting)" "True 2 3 2160 2 1000 2000"
    exits 0 "$awa" queue list
    contains "$(grep ^kept <<<"$out")" "  on   02:00:00        03:00:00     90 days"
    exits 0 "$awa" queue set kept --dlq off --keep-failed default
    equal "$(setting)" "False 2 72 2160 2 1000 2000"
    exits 0 "$awa" queue set kept --dlq default --keep-completed default --keep-dead default
    equal "$(setting)" "False 1 72 720 2 1000 2000"
    exits 0 "$awa" queue set kept --enqueue-shards default --deadline default --aging default
    equal "$(setting)" "False 1 72 720 1 300000 60000"
    exits 0 "$awa" queue set kept --dlq on --reset
    equal "$(setting)" "True 1 72 720 1 300000 60000"

    exits 2 "$awa" queue set kept --dlq maybe
    contains "$err" "--dlq: want on, off or default, got 'maybe'"
    exits 2 "$awa" queue set kept --keep-failed forever
    contains "$err" "--keep-failed: duration: 'forever' is none"
    exits 2 "$awa" queue set kept --enqueue-shards two
    contains "$err" "--enqueue-shards: want a number or default, got 'two'"
    exits 2 "$awa" queue set kept --enqueue-shards ''
    exits 2 "$awa" queue set kept --enqueue-shards 99999999999
    exits 2 "$awa" queue set kept --dlq off --deadline 5
    equal "$(setting)" "True 1 72 720 1 300000 60000"
}

gauges_say_which_bound_they_are() {
    local id
    exits 0 "$awa" queue stats --fast --json
    insert --kind x --queue gauged >/dev/null
    id=$(insert --kind x --queue gauged)
    insert --kind x --queue gauged --delay 1h >/dev/null
    "$awa" job delete "$id" --quiet
    exits 0 "$awa" queue stats gauged --fast
    equal "$(head -n 1 <<<"$out" | xargs)" \
        "queue available<= deferred>= running completed>= failed>= cancelled>= dead>="
    equal "$(sed -n 2p <<<"$out" | xargs)" "gauged 2 1 0 0 0 0 0"
    exits 0 "$awa" queue stats gauged --fast --json
    equal "$(json bounds.available bounds.dead_lettered queues.0.available queues.0.deferred \
        <<<"$out")" "upper|lower|2|1"
    equal "$(counts gauged available scheduled waiting_external)" "1|1|0"
    exits 3 "$awa" queue stats nowhere --fast
    exits 3 "$awa" queue stats nowhere --fast --json
    equal "$out" ""
}

health_without_a_worker_is_none() {
    exits 1 "$awa" health
    contains "$out" "workers        NO   0 alive"
    exits 1 "$awa" health --json
    equal "$(json ok <<<"$out")" false
}

a_queue_is_removed_when_nobody_needs_it() {
    insert --kind x --queue gone >/dev/null
    exits 1 "$awa" queue remove gone
    contains "$err" "queue gone: has 1 jobs that have not ended, 0 dead letters and 0 workers"
    contains "$err" "Drain it"
    "$awa" queue drain gone --yes --quiet
    exits 0 "$awa" queue remove gone
    exits 3 "$awa" queue remove nowhere
}

the_common_settings_are_read_and_set() {
    exits 0 "$awa" queue defaults --json
    equal "$(json deadline_ms dlq_enabled completed_retention_ms <<<"$out")" "300000|false|3600000"
    exits 0 "$awa" queue defaults --deadline 15m --keep-completed 2h --dlq on
    exits 0 "$awa" queue defaults
    contains "$(xargs <<<"$out")" "deadline 00:15:00"
    exits 0 "$awa" queue defaults --json
    equal "$(json deadline_ms dlq_enabled completed_retention_ms <<<"$out")" "900000|true|7200000"
    exits 2 "$awa" queue defaults --deadline default
    contains "$err" "a default has no default"
    exits 2 "$awa" queue defaults --aging often
    exits 0 "$awa" queue defaults --deadline 5m --keep-completed 1h --dlq off
}

a_queue_needs_its_name() {
    exits 2 "$awa" queue pause
    exits 2 "$awa" queue pause ''
    exits 2 "$awa" queue pause one two
}

run_tests counts_are_exact a_paused_queue_waits workers_are_listed draining_cancels_what_waits \
    settings_are_kept_until_reset each_setting_has_a_switch_and_a_default \
    gauges_say_which_bound_they_are a_queue_is_removed_when_nobody_needs_it \
    the_common_settings_are_read_and_set health_without_a_worker_is_none a_queue_needs_its_name
