/* SPDX-License-Identifier: MIT */
/*
 * The demo's own database. It has a comment by which the next demo knows it, and drops it. A
 * database of that name without the comment is never changed.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

#define DATABASE "awa_demo"
#define COMMENT  "made by the awa demo, which will drop it"

enum { GONE_MS = 2000 }; /* for the server to notice a killed client */

/* ---- Statements -------------------------------------------------------------------------- */

/* Runs a statement whose rows do not matter. */
static bool
run(PGconn *conn, const char *sql)
{
    PGresult *res = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(res);

    PQclear(res);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return true;
    return complain("%s: %s", sql, PQerrorMessage(conn));
}

/* Runs a statement with up to one parameter, and returns its rows; NULL: complained. */
static PGresult *
query(PGconn *conn, const char *sql, const char *param)
{
    PGresult *res = PQexecParams(conn, sql, param != NULL, NULL, &param, NULL, NULL, 0);

    if (PQresultStatus(res) == PGRES_TUPLES_OK)
        return res;
    PQclear(res);
    (void)complain("database: %s", PQerrorMessage(conn));
    return NULL;
}

/* Whether the answer is the single value true. */
static bool
query_is_true(PGconn *conn, const char *sql, const char *param)
{
    PGresult *res = query(conn, sql, param);
    bool is = res != NULL && PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), "t") == 0;

    PQclear(res);
    return is;
}

PGconn *
base_connect(const char *conninfo)
{
    PGconn *conn = NULL;
    awa_error err;

    if (awa_connect(conninfo, &conn, &err) != AWA_OK) {
        (void)complain("%s", err.message);
        return NULL;
    }
    if (run(conn, "SET statement_timeout = '100s'"))
        return conn;
    PQfinish(conn);
    return NULL;
}

/* ---- Make and drop ----------------------------------------------------------------------- */

/* The connection string of a session, but for the demo's database; to be freed. */
static char *
conninfo_of(PGconn *conn)
{
    PQconninfoOption *options = PQconninfo(conn);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (options == NULL || out == NULL)
        abort(); /* out of memory before anything began */
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val == NULL || o->val[0] == '\0' || strcmp(o->keyword, "dbname") == 0 ||
            strcmp(o->keyword, "application_name") == 0)
            continue;
        fprintf(out, "%s='", o->keyword);
        for (const char *c = o->val; *c != '\0'; c++)
            fprintf(out, *c == '\'' || *c == '\\' ? "\\%c" : "%c", *c);
        fputs("' ", out);
    }
    fputs("dbname=" DATABASE, out);
    PQconninfoFree(options);
    (void)fclose(out);
    return text;
}

static bool
drop_earlier(PGconn *admin)
{
    PGresult *res = query(admin,
                          "SELECT shobj_description(d.oid, 'pg_database') FROM pg_database AS d"
                          " WHERE d.datname = $1",
                          DATABASE);
    bool exists = res != NULL && PQntuples(res) > 0;
    bool ours = exists && strcmp(PQgetvalue(res, 0, 0), COMMENT) == 0;

    PQclear(res);
    if (res == NULL)
        return false;
    if (exists && !ours)
        return complain("there is a database " DATABASE " that no demo has made; drop it yourself");
    return !ours || run(admin, "DROP DATABASE " DATABASE " WITH (FORCE)");
}

static bool
migrate(struct base *b)
{
    awa_error err;

    b->conn = base_connect(b->conninfo);
    if (b->conn == NULL)
        return false;
    return awa_migrate(b->conn, &err) == AWA_OK || complain("%s", err.message);
}

bool
base_open(struct base *b, const char *dsn)
{
    b->admin = base_connect(dsn);
    if (b->admin == NULL)
        return false;
    /* The session holds this lock until it ends. */
    if (!query_is_true(b->admin, "SELECT pg_try_advisory_lock(hashtext($1))", DATABASE))
        return complain("another demo is running on this server");
    if (!drop_earlier(b->admin) ||
        !run(b->admin, "CREATE DATABASE " DATABASE " TEMPLATE template0 ENCODING 'UTF8'"))
        return false;
    b->made = true;
    if (!run(b->admin, "COMMENT ON DATABASE " DATABASE " IS '" COMMENT "'"))
        return false;
    b->conninfo = conninfo_of(b->admin);
    return migrate(b);
}

bool
base_drop(struct base *b)
{
    if (!b->made)
        return true;
    b->made = false;
    return run(b->admin, "DROP DATABASE IF EXISTS " DATABASE " WITH (FORCE)");
}

void
base_close(struct base *b)
{
    PQfinish(b->conn);
    PQfinish(b->admin);
    free(b->conninfo);
    *b = (struct base){ 0 };
}

/* ---- Ask --------------------------------------------------------------------------------- */

static int64_t
int_at(const PGresult *res, int row, int column)
{
    return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

bool
base_count(struct base *b, int64_t *ret_ended, int64_t *ret_live)
{
    PGresult *res = query(b->conn,
                          "SELECT sum(c.completed + c.failed + c.cancelled), sum(c.available"
                          " + c.scheduled + c.retryable + c.running + c.waiting_external)"
                          " FROM awa.queue_counts() AS c",
                          NULL);

    if (res == NULL)
        return false;
    *ret_ended = int_at(res, 0, 0);
    *ret_live = int_at(res, 0, 1);
    PQclear(res);
    return true;
}

/*
 * Waits until the sessions of a killed worker have ended: until then the server may still run a
 * statement that it has sent.
 */
static void
await_sessions_end(struct base *b, const char *name)
{
    int64_t until = now_ms() + GONE_MS;

    while (now_ms() < until && query_is_true(b->conn,
                                             "SELECT EXISTS (SELECT FROM pg_stat_activity AS s"
                                             " WHERE s.application_name = $1)",
                                             name))
        (void)poll(NULL, 0, 5);
}

bool
base_held(struct base *b, int worker, int64_t **ret_ids, size_t *ret_n)
{
    char name[32];
    PGresult *res;
    int64_t *ids;

    worker_name(worker, name);
    await_sessions_end(b, name);
    res = query(b->conn,
                "SELECT j.id FROM awa.jobs AS j WHERE j.state = 'running' AND j.worker_id ="
                " (SELECT w.worker_id FROM awa.worker_list AS w WHERE w.name = $1) ORDER BY j.id",
                name);
    if (res == NULL)
        return false;
    ids = calloc((size_t)PQntuples(res) + 1, sizeof *ids);
    for (int i = 0; i < PQntuples(res) && ids != NULL; i++)
        ids[i] = int_at(res, i, 0);
    *ret_ids = ids;
    *ret_n = (size_t)PQntuples(res);
    PQclear(res);
    return ids != NULL || complain("out of memory");
}

/* Columns as in enum result_column. */
PGresult *
base_results(struct base *b)
{
    return query(b->conn,
                 "SELECT j.id, j.state, j.attempt, j.output->>'sha256', j.output->>'bytes',"
                 " j.output->>'packed', coalesce(j.errors @> '[{\"outcome\": \"rescued\"}]', false)"
                 " FROM awa.jobs AS j ORDER BY j.id",
                 NULL);
}
