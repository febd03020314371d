#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The shared library exports what awa.h declares and nothing else. Arguments: library, header.
set -euo pipefail

exported=$(nm -D --defined-only "$1" | awk '{ print $3 }')
declared=$(grep -oE '\bawa_[a-z_]+\(' "$2" | tr -d '(')
hidden=$(comm -23 <(sort -u <<<"$exported") <(sort -u <<<"$declared"))

if [ -z "$hidden" ]; then
    echo "1 passed, 0 failed"
else
    echo "exported, but not in awa.h:" $hidden
    echo "0 passed, 1 failed"
    exit 1
fi
