# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For the measurements of this folder: a database of their own on the private cluster, dropped in the end.
# Sets awa (the command) and database (its connection string).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
awa=$("$root/dev" build </dev/null | tail -n 1)
server=$("$awa" dev start --quiet)
database="$server dbname=awa_measure"

drop() {
    psql -Xqd "$server" -c 'DROP DATABASE IF EXISTS awa_measure WITH (FORCE)' 2>/dev/null
}

trap drop EXIT
drop
psql -Xqd "$server" -c 'CREATE DATABASE awa_measure'
"$awa" migrate --quiet --dsn "$database"

# Runs the SQL on standard input; a connection of its own.
sql() {
    psql -XAqtd "$database" -v ON_ERROR_STOP=1 "$@"
}
