/* SPDX-License-Identifier: MIT */
#include "bench/place.h"

#include <string.h>

#include "base/buffer.h"
#include "statements_bench.h"

#define MARK "made by awa bench, which drops it without asking"

/* Puts a statement together, because the name of a database cannot be a parameter. */
static awa_status
exec_named(PGconn *conn, const char *before, const char *name, const char *after, awa_error *err)
{
    AUTO(buffer) struct buffer text = { 0 };
    char *quoted = PQescapeIdentifier(conn, name, strlen(name));

    if (quoted == NULL)
        return awa__fail_pg(err, conn, NULL, "bench");
    buffer_text(&text, before);
    buffer_text(&text, quoted);
    buffer_text(&text, after);
    PQfreemem(quoted);
    if (text.failed)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    return awa__exec(conn, "bench", text.data, err);
}

static awa_status
lock_name(PGconn *conn, const char *name, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(conn, SQL_BENCH_LOCK, (const char *[]){ name }, &res, err);

    if (s == AWA_OK && strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        return awa__fail(err, AWA_EBUSY, "bench: another one runs in database %s", name);
    return s;
}

/* Drops a database that an earlier bench left. */
static awa_status
drop_left_over(PGconn *conn, const char *name, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(conn, SQL_BENCH_DATABASE, (const char *[]){ name }, &res, err);

    if (s != AWA_OK || PQntuples(res) == 0)
        return s;
    if (strcmp(PQgetvalue(res, 0, 0), MARK) != 0)
        return awa__fail(err, AWA_EBUSY,
                         "bench: database %s exists and was not made by a bench; "
                         "choose another name with --database",
                         name);
    return exec_named(conn, "DROP DATABASE ", name, "", err);
}

static awa_status
create(struct place *p, awa_error *err)
{
    awa_status s = lock_name(p->lock, p->name, err);

    if (s == AWA_OK)
        s = drop_left_over(p->lock, p->name, err);
    if (s == AWA_OK)
        s = exec_named(p->lock, "CREATE DATABASE ", p->name, "", err);
    if (s != AWA_OK)
        return s;
    p->made = true;
    return exec_named(p->lock, "COMMENT ON DATABASE ", p->name, " IS '" MARK "'", err);
}

/* name='value', as a conninfo wants it */
static void
add_setting(struct buffer *b, const char *name, const char *value)
{
    buffer_format(b, "%s='", name);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            buffer_text(b, "\\");
        buffer_add(b, value, 1);
    }
    buffer_text(b, "' ");
}

/* A conninfo for the bench's database: in all else as the session at home. */
static awa_status
lead_elsewhere(struct place *p, awa_error *err)
{
    AUTO(conninfo) PQconninfoOption *options = PQconninfo(p->lock);
    AUTO(buffer) struct buffer b = { 0 };

    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (o->val != NULL && strcmp(o->keyword, "dbname") != 0)
            add_setting(&b, o->keyword, o->val);
    add_setting(&b, "dbname", p->name);
    if (options == NULL || b.failed)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    p->conninfo = TAKE(b.data);
    return AWA_OK;
}

static awa_status
migrate(const struct place *p, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = awa_connect(p->conninfo, &conn, err);

    return s == AWA_OK ? awa_migrate(conn, err) : s;
}

static awa_status
name_place(struct place *p, const char *home, const char *name, awa_error *err)
{
    p->name = strdup(name);
    p->home = home != NULL ? strdup(home) : NULL;
    if (p->name == NULL || (home != NULL && p->home == NULL))
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    return AWA_OK;
}

awa_status
place_new(const char *home, const char *name, struct place **ret_place, awa_error *err)
{
    AUTO(place) struct place *p = calloc(1, sizeof *p);
    awa_status s;

    if (p == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    s = name_place(p, home, name, err);
    if (s == AWA_OK)
        s = awa_connect(home, &p->lock, err);
    if (s == AWA_OK)
        s = lead_elsewhere(p, err);
    if (s == AWA_OK)
        s = create(p, err);
    if (s == AWA_OK)
        s = migrate(p, err);
    if (s != AWA_OK)
        return s;
    *ret_place = TAKE(p);
    return AWA_OK;
}

/*
 * Drops the database. The session that holds the lock has been idle for long and may be gone; then
 * a new one drops it.
 */
static awa_status
drop(const struct place *p, awa_error *err)
{
    static const char force[] = " WITH (FORCE)";
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = exec_named(p->lock, "DROP DATABASE ", p->name, force, err);

    if (s != AWA_ECONN)
        return s;
    s = awa_connect(p->home, &conn, err);
    return s == AWA_OK ? exec_named(conn, "DROP DATABASE ", p->name, force, err) : s;
}

struct place *
place_free(struct place *p)
{
    awa_error err;

    if (p == NULL)
        return NULL;
    if (p->made && drop(p, &err) != AWA_OK)
        fprintf(stderr, "awa: %s\n", err.message);
    PQfinish(p->lock);
    free(p->home);
    free(p->name);
    free(p->conninfo);
    free(p);
    return NULL;
}
