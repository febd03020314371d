#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Jobs that follow: awa job insert --follow, lines with "follow", awa follow.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

# run_queue QUEUE CMD: until nothing is due.
run_queue() {
    "$awa" work --queue "$1" --until-empty --quiet --exec "$2" </dev/null
}

kinds_in() {
    sql "SELECT coalesce(string_agg(kind || ' ' || args, ', ' ORDER BY kind), '')
           FROM awa.jobs WHERE queue = '$1'"
}

a_job_brings_what_follows() {
    local id
    id=$(insert --kind resize --queue images --args '{"name": "a.png"}' \
        --follow '{"on": "completed", "job": {"kind": "publish", "queue": "done",
                   "args": {"url": {"$path": "$.output.url"}, "of": {"$path": "$.job.args.name"}}}}' \
        --follow '{"on": "failed", "job": {"kind": "alarm", "queue": "done"}}')
    exits 0 "$awa" job show "$id"
    contains "$out" 'completed: publish {"args"'
    contains "$out" 'failed: alarm {"queue": "done"}'
    run_queue images "echo '{\"url\": \"u\"}'"
    equal "$(kinds_in "done")" 'publish {"of": "a.png", "url": "u"}'
    exits 2 "$awa" job insert --kind x --follow '{"on": "later", "job": {"kind": "y"}}'
    contains "$err" "follow 0: on: want completed, failed, cancelled, ended, retried or rescued, got later"
    exits 2 "$awa" job insert --kind x --follow '{"on"'
    contains "$err" "options: "
}

lines_bring_what_follows() {
    "$awa" job insert - --quiet --follow '{"on": "ended", "job": {"kind": "usual", "queue": "after"}}' <<'END'
{"kind": "a", "queue": "lines"}
{"kind": "b", "queue": "lines", "max_run": "5s", "follow": [{"on": "ended", "job": {"kind": "own", "queue": "after"}}]}
END
    run_queue lines true
    equal "$(kinds_in after)" 'own {}, usual {}'
    equal "$(sql "SELECT options ->> 'max_run_ms' FROM awa.jobs WHERE kind = 'b'")" 5000
    code=0
    echo '{"kind": "c", "follow": {}}' | "$awa" job insert - 2>"$work/err" || code=$?
    equal "$code" 1
    contains "$(cat "$work/err")" "line 1: follow: want a list, got object"
}

a_rule_stands() {
    exits 0 "$awa" follow list --json
    equal "$out" "[]"
    exits 0 "$awa" follow set alarm --on failed --queue ruled --kind bad \
        --job '{"kind": "alarm", "queue": "alarms", "args": {"error": {"$path": "$.error"}}}'
    contains "$err" "rule alarm counts"
    exits 0 "$awa" follow list
    contains "$out" alarm
    exits 0 "$awa" follow list --json
    equal "$(json 0.name 0.on 0.queue 0.kind 0.job.kind <<<"$out")" "alarm|failed|ruled|bad|alarm"
    insert --kind bad --queue ruled >/dev/null
    insert --kind good --queue ruled >/dev/null
    run_queue ruled 'echo oops >&2; exit 65' || :
    equal "$(sql "SELECT count(*) FROM awa.jobs WHERE queue = 'alarms'")" 1
    contains "$(kinds_in alarms)" oops
    exits 0 "$awa" follow remove alarm
    exits 3 "$awa" follow remove alarm
    contains "$err" "rule alarm: not known"
    exits 2 "$awa" follow set alarm
    contains "$err" "wants --on EVENT and --job JSON"
    exits 2 "$awa" follow set alarm --on failed --job '{}'
    contains "$err" "kind: missing"
}

run_tests a_job_brings_what_follows lines_bring_what_follows a_rule_stands
