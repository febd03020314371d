#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# docs/sql.md tells the truth: it has each function that a role may call, and no other, with its
# signature and roles; and its examples and scripts run as printed. Arguments after the executable:
# the page.
. "$(dirname "$0")/../support/cli.sh"
. "$(dirname "$0")/../support/jobs.sh"

page=$2

for role in producer bulk_producer worker operator viewer; do
    sql "CREATE ROLE test_$role LOGIN; GRANT awa_$role TO test_$role"
done

# psql_as LOGIN OPTION...
psql_as() {
    local login=$1
    shift
    PGOPTIONS='-c default_transaction_isolation=read\ committed' "$awa" dev psql -- -XqAt \
        -P null=NULL -v ON_ERROR_STOP=1 -c "SET SESSION AUTHORIZATION $login" "$@"
}

# What stands under each heading of a function or view: name, signature, roles, isolation level.
described() {
    awk -v OFS='\t' '
        function squeeze(text) { gsub(/[ `]+/, " ", text); gsub(/^ | $/, "", text); return text }
        function flush() {
            if (name == "") return
            meta = squeeze(meta)
            match(meta, /^Roles: [a-z_ ,]+\. Isolation: [a-z ]+\./)
            roles = substr(meta, 8, index(meta, ". ") - 8)
            isolation = substr(meta, index(meta, "Isolation: ") + 11)
            sub(/\..*/, "", isolation)
            gsub(/ ,/, ",", roles)
            print name, squeeze(signature), squeeze(roles), isolation
            name = ""
        }
        /^##/ { flush() }
        /^### awa\./ { name = $2; signature = meta = ""; part = "signature" }
        part == "signature" && /^    / { signature = signature " " $0 }
        part == "signature" && /^Roles: / { part = "meta" }
        part == "meta" && /^$/ { part = "" }
        part == "meta" { meta = meta " " $0 }
        END { flush() }' "$page" | sort
}

# The same from the catalog, without isolation levels. Names of types and casts of defaults are shorter.
granted() {
    sql "
        WITH shown AS (
            SELECT 'awa.' || p.proname AS name,
                   format('awa.%s(%s) RETURNS %s', p.proname, pg_get_function_arguments(p.oid),
                          pg_get_function_result(p.oid)) AS signature, p.proowner AS owner,
                   p.proacl AS acl
              FROM pg_proc AS p WHERE p.pronamespace = 'awa'::regnamespace
            UNION ALL
            SELECT 'awa.' || c.relname,
                   format('awa.%s(%s)', c.relname, (
                          SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod),
                                            ', ' ORDER BY a.attnum)
                            FROM pg_attribute AS a
                           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)),
                   c.relowner, c.relacl
              FROM pg_class AS c WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'v')
        SELECT concat_ws(E'\t', s.name, regexp_replace(replace(regexp_replace(s.signature,
                   '\minteger\M', 'int', 'g'), 'timestamp with time zone', 'timestamptz'),
                   '::[a-z0-9_.]+(\[\])?', '', 'g'),
               string_agg(a.role, ', ' ORDER BY array_position(ARRAY['awa_producer',
                   'awa_bulk_producer', 'awa_worker', 'awa_operator', 'awa_viewer'], a.role)))
          FROM shown AS s
         CROSS JOIN LATERAL (SELECT a.grantee::regrole::text AS role
                               FROM aclexplode(s.acl) AS a
                              WHERE a.grantee <> s.owner
                                AND a.privilege_type IN ('EXECUTE', 'SELECT')) AS a
         GROUP BY s.name, s.signature" | sort
}

the_page_has_each_function_as_it_is() {
    granted >"$work/granted"
    [ "$(wc -l <"$work/granted")" -gt 50 ]
    diff <(described | cut -f 1-3) "$work/granted"
}

the_page_has_each_sqlstate() {
    sql "SELECT DISTINCT m[1]
           FROM pg_proc AS p, regexp_matches(p.prosrc, 'ERRCODE = ''(JQ0..)''', 'g') AS m
          WHERE p.pronamespace = 'awa'::regnamespace ORDER BY 1" >"$work/raised"
    diff <(sed -n 's/^| \(JQ...\) |.*/\1/p' "$page") "$work/raised"
}

# Each is called on an older snapshot, with nothing that it needs: it refuses the level, or anything
# else.
the_page_says_which_isolation_level_each_wants() {
    PGOPTIONS='-c default_transaction_isolation=repeatable\ read' "$awa" dev psql -- -XqAt \
        -v ON_ERROR_STOP=1 >"$work/refusing" <<'SQL'
CREATE TEMP TABLE refusing (name text);
DO $do$
DECLARE
    v_call record;
    v_refuses boolean;
BEGIN
    FOR v_call IN
        SELECT p.proname AS name,
               (SELECT string_agg(format('%s::%s', CASE WHEN t = 'int8multirange'::regtype
                                                   THEN '''{}''' ELSE 'NULL' END,
                                         t::regtype), ', ' ORDER BY ord)
                  FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS u (t, ord)
                 WHERE ord <= p.pronargs - p.pronargdefaults) AS arguments
          FROM pg_proc AS p
         WHERE p.pronamespace = 'awa'::regnamespace
           AND EXISTS (SELECT 1 FROM aclexplode(p.proacl) AS a WHERE a.grantee <> p.proowner)
    LOOP
        BEGIN
            EXECUTE format('SELECT * FROM awa.%I(%s)', v_call.name, v_call.arguments);
            RAISE 'undo';
        EXCEPTION WHEN OTHERS THEN
            v_refuses := SQLSTATE = 'JQ001' AND SQLERRM LIKE '%: want isolation read committed, %';
        END;
        INSERT INTO refusing SELECT 'awa.' || v_call.name WHERE v_refuses;
    END LOOP;
END
$do$;
SELECT r.name FROM refusing AS r;
SQL
    [ "$(wc -l <"$work/refusing")" -gt 10 ]
    diff <(described | awk -F '\t' '$4 == "read committed" { print $1 }') <(sort "$work/refusing")
}

# The blocks of SQL as one script of psql, each as the role that its first line names; scripts of
# their own go to files. What `-- =>` promises goes to $work/wants, a line each.
write_examples() {
    awk -v dir="$work" '
        /^```sql$/ { inside = 1; out = ""; next }
        /^```$/ { inside = 0 }
        !inside { next }
        out == "" && /^-- [a-z]+\.sql$/ { out = dir "/" $2 }
        out == "" {
            out = dir "/examples.sql"
            if (!/^-- as /) { print "block without a role: " $0; exit 1 }
            role = $3
            print (sub(/^awa_/, "test_", role) ? "SET SESSION AUTHORIZATION " role \
                                               : "RESET SESSION AUTHORIZATION") ";" >out
        }
        { print >out }
        /-- => / {
            want = $0
            sub(/.*-- => /, "", want)
            print want >(dir "/wants")
            print "\\echo @" ++n >out
        }' "$page"
}

the_examples_run_as_printed() {
    write_examples
    [ "$(wc -l <"$work/wants")" -gt 50 ]
    psql_as test_viewer -f "$work/examples.sql" >"$work/got" </dev/null
    awk -v wants="$work/wants" '
        /^@[0-9]+$/ {
            getline want <wants
            if (last != want) { print "got " last ", want " want; bad = 1 }
            n++
        }
        !/^Asynchronous notification / { last = $0 }
        END { while ((getline want <wants) > 0) bad = 1; exit bad }' "$work/got"
}

# Kind, who it is for, state and attempt of each letter.
letters() {
    sql "SELECT string_agg(concat_ws(' ', kind, args ->> 'to', state, attempt), ', ' ORDER BY id)
           FROM awa.jobs WHERE queue = 'letters'"
}

# A consumer of one round ends by itself, and another one goes on.
letters_have_ended() {
    psql_as test_worker -v rounds=1 -f "$work/consumer.sql" </dev/null >&2
    [ "$(letters)" = "$1" ]
}

a_job_was_rescued() {
    [ "$(sql "SELECT errors -> 0 ->> 'outcome' FROM awa.jobs WHERE id = $1")" = rescued ]
}

# With nothing but psql, after the examples, which inserted the letters.
the_consumer_and_the_loop_need_no_awa_work() {
    local upkeep job
    psql_as test_worker -v rounds=1000000 -f "$work/maintenance.sql" >"$work/upkeep" 2>&1 </dev/null &
    upkeep=$!
    wait_until 60 letters_have_ended "letter ann completed 1, letter failed 1, letter eve failed 2,\
 digest scheduled 0, unheard of scheduled 0, letter bob completed 1"
    equal "$(sql "SELECT string_agg(recipient, ' ' ORDER BY at) FROM sent")" "ann bob"
    equal "$(sql "SELECT count(*) FROM awa.worker_list
                   WHERE name = 'letters by psql' AND ended_at IS NULL")" 0

    job=$(sql "SELECT awa.insert_job('letter', p_queue => 'lost')")
    psql_as test_worker -c "SELECT awa.register_worker(7, 'about to die', '{lost}')" \
        -c "SELECT count(*) FROM awa.claim_jobs(7, 'lost', 1)" </dev/null
    wait_until 30 a_job_was_rescued "$job"
    kill "$upkeep"
    wait "$upkeep" || true
    equal "$(cat "$work/upkeep")" ""
    psql_as test_worker -v rounds=1 -f "$work/maintenance.sql" </dev/null
}

# refused SQLSTATE POS ENQUEUED_AT SLOT ATTEMPT MAX_ATTEMPTS KIND: the table refuses such a row.
refused() {
    exits 1 psql_as test_bulk_producer -v VERBOSITY=sqlstate -c "
        INSERT INTO awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt, max_attempts,
                                       kind, args)
        VALUES ($2, 1, $3, $4, $5, $6, $7, '{}')"
    contains "$err" "ERROR:  $1"
}

a_bulk_producer_can_do_what_the_page_says() {
    local first
    first=$(psql_as test_bulk_producer -c "
        SELECT r.first_pos FROM awa.reserve_positions('{bulk}', '{2}', '{NULL}', '{1}') AS r" </dev/null)
    refused 23502 "$first" "NULL" 0 0 1 "'x'"
    refused 23514 "$first" "now()" 0 0 1 "''"
    refused 23514 "$first" "now()" 0 0 1001 "'x'"
    refused 23514 "$first" "now()" 0 -1 1 "'x'"
    refused 23514 -1 "now()" 0 0 1 "'x'"
    refused 23514 "$first" "'infinity'" 0 0 1 "'x'"
    refused 23514 "$first" "now()" 16 0 1 "'x'"
    refused 22003 "$first" "now()" 0 0 100000 "'x'"
    psql_as test_bulk_producer -c "
        INSERT INTO awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt, max_attempts,
                                       kind, args, unique_key)
        VALUES ($first, 1, now(), 0, 0, 1, 'x', '{}', 'held by nobody'),
               ($first + 2, 1, now(), 0, 0, 1, 'x', '{}', NULL)" </dev/null
    refused 23505 "$first" "now()" 0 0 1 "'x'"
    exits 1 psql_as test_bulk_producer -c "DELETE FROM awa.ready_entries"
    exits 1 psql_as test_bulk_producer -c "TABLE awa.ready_entries"
    exits 1 psql_as test_bulk_producer -c "INSERT INTO awa.ready_entries_0 VALUES (1)"

    equal "$(sql "SELECT awa.insert_job('x', p_queue => 'bulk', p_unique_key => 'held by nobody') > 0")" t
    exits 1 psql_as test_producer -v VERBOSITY=sqlstate -c "SELECT awa.insert_job('x', p_queue => 'bulk')"
    contains "$err" "ERROR:  23505"
    equal "$(sql "SELECT awa.insert_job('x', p_queue => 'bulk') > 0")" t
}

run_tests the_page_has_each_function_as_it_is the_page_has_each_sqlstate \
    the_page_says_which_isolation_level_each_wants \
    the_examples_run_as_printed the_consumer_and_the_loop_need_no_awa_work \
    a_bulk_producer_can_do_what_the_page_says
