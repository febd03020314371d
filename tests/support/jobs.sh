# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# For tests of commands that need a queue: source it after cli.sh. The private cluster runs, and
# its database has the schema; commands find it without options.

AWA_DATABASE_URL=$("$awa" dev start --quiet)
export AWA_DATABASE_URL
"$awa" migrate --quiet || exit 1

# Not through a pooler, if there is one.
sql() {
    PGOPTIONS='-c default_transaction_isolation=read\ committed' "$awa" dev psql -- -XqAtc "$1" </dev/null
}

# What ./dev test --with asks for.
if [ -n "${AWA_TEST_SETTING:-}" ]; then
    sql "ALTER SYSTEM SET $AWA_TEST_SETTING"
    "$awa" dev stop --quiet && "$awa" dev start --quiet >/dev/null
fi
if [ -n "${AWA_TEST_POOLER:-}" ]; then
    . "${BASH_SOURCE[0]%/*}/pooler.sh"
    start_pooler || exit 1
fi

# json PATH...: values in the JSON on standard input, such as errors.0.error, joined by |. Strings
# come as they are.
json() {
    python3 -c '
import json, sys
def find(value, path):
    for key in path.split("."):
        value = value[int(key) if isinstance(value, list) else key]
    return value if isinstance(value, str) else json.dumps(value)
whole = json.load(sys.stdin)
print("|".join(find(whole, path) for path in sys.argv[1:]))' "$@"
}

# insert OPTION...: prints the id.
insert() {
    "$awa" job insert "$@" </dev/null
}

# job ID PATH...: as json does.
job() {
    local id=$1
    shift
    "$awa" job show "$id" --json </dev/null | json "$@"
}

is_state() {
    [[ $("$awa" job show "$1" --json </dev/null) == *"\"state\": \"$2\""* ]]
}

# wait_state SECONDS ID STATE
wait_state() {
    wait_until "$1" is_state "$2" "$3"
}

# run_jobs OPTION...: works until nothing is left; what the worker says is in $work/worker. That an
# attempt fails is no failure of the worker.
run_jobs() {
    local code=0
    timeout 60 "$awa" work --until-empty "$@" </dev/null 2>"$work/worker" || code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 4 ] || { cat "$work/worker"; exit 1; }
}

# fail_jobs QUEUE [N]: up to N jobs that wait in the queue are claimed, by a worker of their own, and
# fail for good with the error `no luck`. Faster than to run a program for each.
fail_jobs() {
    local worker
    worker=$(date +%s%N)
    sql "SELECT awa.register_worker($worker, 'unlucky', ARRAY['$1']);
         SELECT count(k.pos) FROM (
            SELECT array_agg(c.ready_slot) AS slots, array_agg(c.claim_id) AS claims,
                   array_agg(c.pos) AS positions, array_agg('failed'::text) AS outcomes,
                   array_agg('no luck'::text) AS errors
              FROM awa.claim_jobs($worker, '$1', ${2:-10000}) AS c) AS c,
              awa.close_jobs($worker, c.slots, c.claims, c.positions, c.outcomes, c.errors) AS k;
         SELECT awa.deregister_worker($worker)" >/dev/null
}

# counts QUEUE COLUMN...: numbers of awa queue stats, joined by |.
counts() {
    local queue=$1
    shift
    "$awa" queue stats "$queue" --json </dev/null | json "${@/#/0.}"
}
