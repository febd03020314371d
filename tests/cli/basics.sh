#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Help, exit codes, completion.
. "$(dirname "$0")/../support/cli.sh"

help_is_printed_at_every_level() {
    exits 0 "$awa" --help
    contains "$out" "Usage: awa COMMAND"
    exits 0 "$awa" dev start --help
    contains "$out" "Usage: awa dev start"
    local with_option=$out
    exits 0 "$awa" help dev start
    equal "$out" "$with_option"
}

nothing_but_data_goes_to_stdout() {
    exits 2 "$awa"
    equal "$out" ""
    contains "$err" "Commands:"
    exits 2 "$awa" dev
    equal "$out" ""
    exits 2 "$awa" no-such-command
    equal "$out" ""
}

usage_errors_exit_with_2_and_say_what_was_wrong() {
    exits 2 "$awa" migrat
    equal "$err" "awa: awa: there is no command 'migrat'; did you mean 'migrate'?"
    exits 2 "$awa" help dev strat
    contains "$err" "did you mean 'start'?"
    exits 2 "$awa" migrate --nonsense
    contains "$err" "there is no option --nonsense"
    exits 2 "$awa" migrate extra
    contains "$err" "unexpected 'extra'"
    exits 2 "$awa" --dsn
    contains "$err" "--dsn needs a value"
}

a_database_that_is_not_there_exits_with_1() {
    exits 1 "$awa" migrate --dsn host=/nonexistent
    contains "$err" "awa: connect: "
    exits 1 env AWA_DATABASE_URL=host=/nowhere1 DATABASE_URL=host=/nowhere2 "$awa" migrate
    contains "$err" nowhere1
    exits 1 env DATABASE_URL=host=/nowhere2 "$awa" migrate
    contains "$err" nowhere2
}

the_version_is_printed() {
    exits 0 "$awa" --version
    contains "$out" "awa "
    exits 0 "$awa" version --json
    python3 -c 'import json, sys; assert json.loads(sys.argv[1])["schema"] >= 0' "$out"
}

completion_knows_the_tree() {
    exits 0 "$awa" completion bash
    equal "$(complete_words "$out" awa de)" "dev"
    equal "$(complete_words "$out" awa dev st)" "start stop status"
    equal "$(complete_words "$out" awa --json dev reset --y)" "--yes"
    equal "$(complete_words "$out" awa migrate --qu)" "--quiet"
}

# What bash would offer for the last word.
complete_words() {
    (
        eval "$1"
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _awa
        echo "${COMPREPLY[*]}"
    )
}

output_that_cannot_be_written_is_a_failure() {
    exits 1 sh -c '"$1" version >/dev/full' sh "$awa"
    contains "$err" "awa: output: "
}

run_tests help_is_printed_at_every_level nothing_but_data_goes_to_stdout \
    usage_errors_exit_with_2_and_say_what_was_wrong a_database_that_is_not_there_exits_with_1 \
    the_version_is_printed completion_knows_the_tree output_that_cannot_be_written_is_a_failure
