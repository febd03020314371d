/* SPDX-License-Identifier: MIT */
/* See test_migrate.h. */
#include "test_migrate.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIGRATORS_MAX = 16 };

/* ---- Databases --------------------------------------------------------------------------- */

const char *
test_fresh_dsn(PGconn *db)
{
    const char *name = test_format("%s_fresh", PQdb(db));

    test_exec(db, test_format("CREATE DATABASE %s OWNER test_owner", name));
    return test_format("host=%s port=%s user=test_owner dbname=%s", PQhost(db), PQport(db), name);
}

void
test_fresh_drop(PGconn *db)
{
    test_exec(db, test_format("DROP DATABASE %s_fresh WITH (FORCE)", PQdb(db)));
}

PGconn *
test_open(const char *dsn)
{
    PGconn *conn = NULL;
    awa_error err;

    test_ok(awa_connect(dsn, &conn, &err), &err);
    return conn;
}

void
test_make_old(PGconn *db, const char *sql)
{
    test_exec(db, test_format("SET ROLE awa_owner; %s; RESET ROLE", sql));
    test_exec(db, "UPDATE awa.schema_engine SET checksum = 'old'");
}

/* ---- Migrators --------------------------------------------------------------------------- */

static void *
migrate_thread(void *dsn)
{
    static const char *const no = "no";
    AUTO(pgconn) PGconn *conn = NULL;

    if (awa_connect(dsn, &conn, NULL) != AWA_OK || awa_migrate(conn, NULL) != AWA_OK)
        return (void *)(uintptr_t)no;
    return NULL;
}

void
test_migrate_at_once(const char *dsn, int n)
{
    pthread_t threads[MIGRATORS_MAX];
    int failed = 0;

    assert_true(n <= MIGRATORS_MAX);
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_thread, (void *)(uintptr_t)dsn),
                         0);
    for (int i = 0; i < n; i++) {
        void *trouble;

        assert_int_equal(pthread_join(threads[i], &trouble), 0);
        failed += trouble != NULL;
    }
    assert_int_equal(failed, 0);
}

/* libpq's trace has one line for each message. */
static ssize_t
count_answers(void *left, const char *line, size_t len)
{
    int *n = left;

    if (memmem(line, len, "ReadyForQuery", strlen("ReadyForQuery")) != NULL && --*n == 0)
        (void)kill(getpid(), SIGKILL);
    return (ssize_t)len;
}

/* In a process of its own, in which nothing may be asserted. */
static bool
migrate_watched(const char *dsn, int n)
{
    AUTO(pgconn) PGconn *conn = NULL;
    FILE *trace = fopencookie(&n, "w", (cookie_io_functions_t){ .write = count_answers });

    if (trace == NULL || setvbuf(trace, NULL, _IOLBF, BUFSIZ) != 0 ||
        awa_connect(dsn, &conn, NULL) != AWA_OK)
        return false;
    PQtrace(conn, trace);
    return awa_migrate(conn, NULL) == AWA_OK;
}

pid_t
test_migrate_start(const char *dsn, int n)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(!migrate_watched(dsn, n));
    return pid;
}

bool
test_migrate_killed(const char *dsn, int n)
{
    pid_t pid = test_migrate_start(dsn, n);
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

/* ---- Comparing --------------------------------------------------------------------------- */

static const char catalog[] =
    "SELECT coalesce(string_agg(o.line, E'\\n' ORDER BY o.line), '') FROM"
    " (SELECT format('function %s %s %s %s %s %s', p.oid::regprocedure,"
    "   pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.proacl,"
    "   p.proowner::regrole, md5(pg_get_functiondef(p.oid)))"
    "   FROM pg_proc AS p WHERE p.pronamespace = 'awa'::regnamespace"
    "  UNION ALL SELECT format('relation %s %s %s %s %s', c.oid::regclass, c.relkind, c.relacl,"
    "   c.relowner::regrole, c.reloptions) FROM pg_class AS c WHERE c.relnamespace ="
    "   'awa'::regnamespace AND c.relname !~ '^(lane|hungry)_[0-9]+$'"
    "  UNION ALL SELECT format('column %s %s %s %s %s %s', c.oid::regclass, a.attnum, a.attname,"
    "   format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))"
    "   FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
    "   LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum"
    "   WHERE c.relnamespace = 'awa'::regnamespace AND c.relname !~ '^(lane|hungry)_[0-9]+$'"
    "  UNION ALL SELECT format('view %s %s', c.oid::regclass, md5(pg_get_viewdef(c.oid)))"
    "   FROM pg_class AS c WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'v'"
    "  UNION ALL SELECT format('index %s', pg_get_indexdef(i.indexrelid))"
    "   FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
    "   WHERE c.relnamespace = 'awa'::regnamespace"
    "  UNION ALL SELECT format('constraint %s %s %s', k.conrelid::regclass, k.conname,"
    "   pg_get_constraintdef(k.oid)) FROM pg_constraint AS k"
    "   WHERE k.connamespace = 'awa'::regnamespace"
    "  UNION ALL SELECT format('trigger %s', pg_get_triggerdef(t.oid)) FROM pg_trigger AS t JOIN"
    "   pg_class AS c ON c.oid = t.tgrelid WHERE c.relnamespace = 'awa'::regnamespace"
    "  UNION ALL SELECT format('type %s %s %s', t.oid::regtype, t.typacl, (SELECT string_agg("
    "   e.enumlabel, ' ' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid))"
    "   FROM pg_type AS t WHERE t.typnamespace = 'awa'::regnamespace"
    "   AND t.typname !~ '^_?(lane|hungry)_[0-9]+$'"
    "  UNION ALL SELECT format('schema %s %s', n.nspacl, n.nspowner::regrole)"
    "   FROM pg_namespace AS n WHERE n.nspname = 'awa') AS o (line)";

const char *
test_catalog(PGconn *db)
{
    if (test_int(db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'awa'") == 0)
        return "";
    return test_text(db, catalog);
}

const char *
test_contents(PGconn *db)
{
    if (test_int(db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'awa'") == 0)
        return "";
    return test_text(db, "SELECT string_agg(table_to_xml(c.oid, true, true, '')::text, ''"
                         " ORDER BY c.relname) FROM pg_class AS c WHERE c.relnamespace ="
                         " 'awa'::regnamespace AND c.relkind IN ('r', 'p')"
                         " AND NOT c.relispartition");
}
