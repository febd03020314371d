#!/bin/sh
# SPDX-License-Identifier: MIT
# Seals a static library: one object, whose only global symbols are those of the public API.
# usage: seal.sh INSIDE.a SEALED.a; links all members of INSIDE into one object, and makes hidden
# symbols local.
set -eu

object=$2.o
ld -r -o "$object" --whole-archive "$1"
objcopy --localize-hidden "$object"
rm -f "$2"
ar rcs "$2" "$object"
rm -f "$object"
