# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For tests of the executable: source it, write functions named as sentences, end with
# `run_tests NAME...`. Each runs in a shell of its own, which ends at the first failure.
set -u

awa=$1
export AWA_DEV_DIR=${AWA_TEST_PLACE:-/tmp}/awa-cli-test-$$
unset AWA_DATABASE_URL DATABASE_URL PGDATABASE PGHOST PGUSER PGSERVICE PGTZ TZ
work=$(mktemp -d)

tidy_up() {
    "$awa" dev reset --yes --quiet 2>/dev/null
    rm -rf "$work"
}
trap tidy_up EXIT

# A run that was killed could not tidy up.
sweep() {
    local dir
    for dir in {/tmp,/dev/shm}/awa-cli-test-*; do
        if [ -w "$dir" ] && [ ! -e "/proc/${dir##*-}" ]; then
            "$awa" dev reset --yes --quiet --dir "$dir"
        fi
    done
}
sweep

trap 'exit 130' INT TERM HUP

# exits CODE COMMAND...: the command must exit with that code; its output is in $out and $err.
exits() {
    local want=$1 code=0
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
    [ "$code" -eq "$want" ] && return
    echo "$*: exit code $code, want $want"
    echo "$out"
    echo "$err"
    exit 1
}

support=$(dirname "${BASH_SOURCE[0]}")

# on_terminal COMMAND...: runs it with a terminal as standard error; $said is what that was told.
on_terminal() {
    local code=0
    python3 "$support/on_terminal.py" "$work/said" "$@" || code=$?
    said=$(cat "$work/said")
    return "$code"
}

# contains TEXT PART
contains() {
    [[ $1 == *"$2"* ]] && return
    echo "'$1' does not contain '$2'"
    exit 1
}

# equal GOT WANT
equal() {
    [ "$1" = "$2" ] && return
    echo "got '$1', want '$2'"
    exit 1
}

# wait_until SECONDS COMMAND...: tries again until it succeeds.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { echo "not in time: $*"; exit 1; }
        sleep 0.05
    done
}

run_tests() {
    local passed=0 failed=0 name said code
    for name in "$@"; do
        # Not within an `if`: there bash ignores -e, and no line of a test could fail it.
        said=$(set -e; "$name" 2>&1)
        code=$?
        if [ "$code" -eq 0 ]; then
            echo "ok      $name"
            passed=$((passed + 1))
        else
            echo "FAILED  $name"
            echo "$said"
            failed=$((failed + 1))
        fi
    done
    echo "$passed passed, $failed failed"
    exit $((failed > 0))
}
