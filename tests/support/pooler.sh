# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# For tests through pgbouncer in transaction mode; jobs.sh comes first. It runs beside the
# private cluster, as the server's user, with the defaults of its package where they matter.

# start_pooler: from then on the commands reach the database through it.
start_pooler() {
    local dir=$AWA_DEV_DIR/pooler user login
    user=$(stat -c %U "$AWA_DEV_DIR/data")
    mkdir "$dir" && chown "$user" "$dir"
    for login in awa_admin only_insert test_{producer,bulk_producer,worker,operator,viewer,nobody}; do
        echo "\"$login\" \"\""
    done >"$dir/users"
    cat >"$dir/pgbouncer.ini" <<END
[databases]
* = host=$AWA_DEV_DIR port=5432
[pgbouncer]
pool_mode = transaction
default_pool_size = ${POOLER_SIZE:-20}
max_client_conn = 200
listen_addr =
unix_socket_dir = $dir
listen_port = 6432
auth_type = trust
auth_file = $dir/users
END
    PATH=$PATH:/usr/sbin as_user "$user" pgbouncer "$dir/pgbouncer.ini" >"$dir/log" 2>&1 &
    AWA_DATABASE_URL="host=$dir port=6432 user=awa_admin dbname=awa"
    wait_until 10 "$awa" job list
}

# It refuses to run as root; and it ends when we do, however that happens.
as_user() {
    local user=$1
    shift
    if [ "$(id -u)" -eq 0 ]; then
        set -- --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"
    fi
    exec setpriv --pdeathsig TERM "$@"
}
