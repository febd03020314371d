#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The unit for systemd. The second argument is the folder of the sources.
. "$(dirname "$0")/../support/cli.sh"

systemd_finds_nothing_wrong_with_the_unit() {
    command -v systemd-analyze >/dev/null || return 0
    sed "s,/usr/local/bin/awa,$(realpath "$awa")," "$root/contrib/systemd/awa-work.service" >"$work/awa-work.service"
    exits 0 systemd-analyze verify "$work/awa-work.service"
    equal "$err" ""
}

# Its worker has ended its programs before systemd does.
its_times_fit() {
    local drain stop
    drain=$(grep -oP '(?<=--drain-timeout )[0-9]+(?=s)' "$root/contrib/systemd/awa-work.service")
    stop=$(grep -oP '(?<=^TimeoutStopSec=)[0-9]+' "$root/contrib/systemd/awa-work.service")
    [ "$stop" -ge $((drain + 2 + 5)) ] # what a program gets after SIGTERM, and the worker after that
    grep -qx KillMode=mixed "$root/contrib/systemd/awa-work.service"
}

root=$2
run_tests systemd_finds_nothing_wrong_with_the_unit its_times_fit
