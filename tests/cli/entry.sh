#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ./dev: what it does about missing packages, and about the state it finds. Tools are stand-ins
# here: nothing is installed or compiled. The second argument is the folder of ./dev.
. "$(dirname "$0")/../support/cli.sh"

tools=$work/tools
checkout=$work/checkout
mkdir -p "$tools" "$checkout/.ci" "$work/home"
cp "$2/dev" "$checkout/dev"
cp "$2/.ci/run" "$checkout/.ci/run"

for name in bash cat cksum cp cut dirname env flock grep head mkdir readlink rm; do
    ln -s "$(command -v $name)" "$tools/$name"
done

# tool NAME LINE...: a stand-in that says in the log what it was asked to do.
tool() {
    local name=$1
    shift
    printf '%s\n' "#!$(command -v bash)" "echo \"$name \$*\" >>'$work/log'" "$@" >"$tools/$name"
    chmod +x "$tools/$name"
}

# A machine that has everything, and a user who may not install.
tool id 'echo 1000'
tool sudo 'exit 1'
tool pkg-config
tool initdb 'echo "initdb (PostgreSQL) 15.1"'
# What is configured becomes what is installed when ninja has run, as with the real ones.
tool meson 'case $1 in
setup) mkdir -p "$2"; echo new >"$2/build.ninja" ;;
configure) echo "${3#-Dprefix=}" >"$2/configured" ;;
install) echo "installed below $(cat "$3/generated")" >>"'"$work/log"'" ;;
esac'
tool ninja '! grep -q spoiled "$2/build.ninja" && { [ ! -e "$2/configured" ] || cp "$2/configured" "$2/generated"; }'
for name in cc python3 psql strace apt-get; do tool $name; done

run_dev() {
    env -i PATH="$tools" HOME="$work/home" "$checkout/$1" "${@:2}"
}

# How often was that asked for?
count() {
    grep -c "^$1" "$work/log"
}

what_is_missing_is_said_as_a_command() {
    rm "$tools/meson"
    tool pkg-config '[ "$2" != cmocka ]'
    for command in 'dev build' 'dev demo' 'dev test' .ci/run; do
        # shellcheck disable=SC2086 # words
        exits 1 run_dev $command
        equal "$out" ""
        equal "$err" "./dev: packages are missing; please run:
  sudo apt-get install -y --no-install-recommends meson libcmocka-dev"
    done
    rm "$tools/sudo" "$tools/apt-get"
    exits 1 run_dev dev build
    equal "$err" "./dev: please install (by their Debian names): meson libcmocka-dev"
}

it_is_set_up_once() {
    : >"$work/log"
    exits 0 run_dev dev build
    equal "$out" "$checkout/build/release/awa"
    exits 0 run_dev dev build
    equal "$(count 'meson setup')" 1
}

a_spoiled_build_begins_anew() {
    : >"$work/log"
    echo spoiled >"$checkout/build/release/build.ninja"
    exits 0 run_dev dev build
    equal "$(cat "$checkout/build/release/build.ninja")" new
    rm "$checkout/build/release/build.ninja"
    exits 0 run_dev dev build
    equal "$(count 'meson setup')" 2
}

a_checkout_that_was_moved_is_set_up_again() {
    : >"$work/log"
    mv "$checkout" "$work/moved"
    exits 0 env -i PATH="$tools" HOME="$work/home" "$work/moved/dev" build
    equal "$out" "$work/moved/build/release/awa"
    equal "$(count 'meson setup')" 1
    mv "$work/moved" "$checkout"
}

each_install_goes_to_its_own_prefix() {
    : >"$work/log"
    exits 0 run_dev dev install "$work/one"
    exits 0 run_dev dev install "$work/two"
    contains "$err" "./dev: installing below $work/two"
    exits 0 run_dev dev install
    contains "$err" "./dev: installing below /usr/local"
    equal "$(grep '^installed' "$work/log")" "installed below $work/one
installed below $work/two
installed below /usr/local"
}

a_build_that_fails_is_a_failure() {
    tool ninja '[ "${*: -1}" = build.ninja ]'
    exits 1 run_dev dev build
    contains "$err" "./dev: the build failed"
    tool meson 'exit 1'
    rm -r "$checkout/build"
    exits 1 run_dev dev build
    contains "$err" "./dev: meson setup failed"
}

run_tests it_is_set_up_once a_spoiled_build_begins_anew a_checkout_that_was_moved_is_set_up_again \
    each_install_goes_to_its_own_prefix a_build_that_fails_is_a_failure what_is_missing_is_said_as_a_command
