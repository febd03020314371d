/* SPDX-License-Identifier: MIT */
/*
 * Brings schema awa to the state of the embedded files, in one transaction: the schema files
 * that are missing, then the whole engine if any of it changed. A database that is ahead of
 * these files, or was made from other ones, is left alone.
 *
 * CREATE OR REPLACE keeps what sessions have prepared and what users have granted, but it can
 * not change the form of a function or view, and it removes nothing. So before the engine is
 * replaced it is rehearsed, with the old one set aside, and rolled back: what the new one does
 * not have in the same form is then dropped, and nothing else.
 */
#include "lib/internal.h"

#include <string.h>

/* READ COMMITTED: whoever waited for the lock must see what the other one did. */
static const char begin[] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/*
 * So that all objects have one owner, whoever migrates. And whoever waits for somebody that reads
 * a view, makes all later readers of it wait as well: it gives up soon.
 */
static const char become_owner[] = "SET LOCAL ROLE awa_owner; SET LOCAL lock_timeout = '3s'";

/* JSON holds any character; another encoding would be found out by the first that does not fit. */
static awa_status
check_encoding(const PGconn *conn, awa_error *err)
{
    const char *encoding = PQparameterStatus(conn, "server_encoding");

    if (encoding == NULL || strcmp(encoding, "UTF8") == 0)
        return AWA_OK;
    return awa__fail(err, AWA_EINVAL,
                     "migrate: the database's encoding is %s, want UTF8: CREATE DATABASE ... "
                     "TEMPLATE template0 ENCODING 'UTF8'",
                     encoding);
}

/* For statements that return no rows, or none that matter. */
static awa_status
run(PGconn *conn, enum awa__sql_id id, const char *const *params, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    return awa__sql_run(conn, id, params, &res, err);
}

static int
newest_file(void)
{
    int n = 0;

    while (awa__schema_files[n].name != NULL)
        n++;
    return n;
}

static awa_status
ensure_ledger(PGconn *conn, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__sql_run(conn, SQL_MIGRATIONS_EXIST, NULL, &res, err);
    if (s != AWA_OK)
        return s;
    if (strcmp(PQgetvalue(res, 0, 0), "t") == 0)
        return AWA_OK;
    return awa__sql_exec(conn, "bootstrap.sql", awa__bootstrap, err);
}

/* Does row i of the ledger record the file that we have under this number? */
static awa_status
check_row(const PGresult *ledger, int i, awa_error *err)
{
    const struct awa__sql_file *file = &awa__schema_files[i];
    const char *version = PQgetvalue(ledger, i, 0);

    if (strtol(version, NULL, 10) != file->number)
        return awa__fail(err, AWA_ESCHEMA,
                         "migrate: awa.schema_migrations says %s where %d is due; restore its rows",
                         version, file->number);
    if (strcmp(PQgetvalue(ledger, i, 2), file->checksum) != 0)
        return awa__fail(err, AWA_ESCHEMA,
                         "migrate: this database was made with another version of %s; use the awa "
                         "that made it, or one released after it",
                         file->name);
    return AWA_OK;
}

/* How many schema files are in the database; all of them must be ours. */
static awa_status
read_version(PGconn *conn, int *ret_version, awa_error *err)
{
    AUTO(pgresult) PGresult *ledger = NULL;
    awa_status s;

    s = awa__sql_run(conn, SQL_MIGRATIONS_LIST, NULL, &ledger, err);
    if (s != AWA_OK)
        return s;
    if (PQntuples(ledger) > newest_file())
        return awa__fail(err, AWA_ESCHEMA,
                         "migrate: the database has schema %s, awa %s knows %d; install the awa "
                         "that made it, or a newer one",
                         PQgetvalue(ledger, PQntuples(ledger) - 1, 0), AWA_VERSION, newest_file());
    for (int i = 0; i < PQntuples(ledger); i++) {
        s = check_row(ledger, i, err);
        if (s != AWA_OK)
            return s;
    }
    *ret_version = PQntuples(ledger);
    return AWA_OK;
}

static awa_status
apply_schema(PGconn *conn, int version, awa_error *err)
{
    for (const struct awa__sql_file *f = &awa__schema_files[version]; f->name != NULL; f++) {
        char number[12];
        awa_status s;

        s = awa__sql_exec(conn, f->name, f->text, err);
        if (s != AWA_OK)
            return s;
        snprintf(number, sizeof number, "%d", f->number);
        s = run(conn, SQL_MIGRATION_INSERT, (const char *[]){ number, f->name, f->checksum }, err);
        if (s != AWA_OK)
            return s;
    }
    return AWA_OK;
}

/* Does the engine in force have our files? If not, it must not be a newer one. */
static awa_status
read_engine(PGconn *conn, bool *ret_current, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__sql_run(conn, SQL_ENGINE_IN_FORCE, (const char *[]){ AWA_VERSION }, &res, err);
    if (s != AWA_OK)
        return s;
    *ret_current = PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), awa__engine_checksum) == 0;
    if (PQntuples(res) == 1 && !*ret_current && strcmp(PQgetvalue(res, 0, 2), "t") == 0)
        return awa__fail(err, AWA_ESCHEMA,
                         "migrate: the database has the engine of awa %s, this is awa %s; install "
                         "the awa that made it, or a newer one",
                         PQgetvalue(res, 0, 1), AWA_VERSION);
    return AWA_OK;
}

static awa_status
apply_files(PGconn *conn, awa_error *err)
{
    for (const struct awa__sql_file *f = awa__engine_files; f->name != NULL; f++) {
        awa_status s = awa__sql_exec(conn, f->name, f->text, err);

        if (s != AWA_OK)
            return s;
    }
    return AWA_OK;
}

/* The forms of our engine; what is in force has these ones. */
static awa_status
rehearse(PGconn *conn, const char *forms, PGresult **ret_forms, awa_error *err)
{
    AUTO(pgresult) PGresult *aside = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__sql_exec(conn, "migrate", "SAVEPOINT rehearsal", err);
    if (s == AWA_OK)
        s = awa__sql_run(conn, SQL_ENGINE_SET_ASIDE, (const char *[]){ forms }, &aside, err);
    if (s == AWA_OK)
        s = awa__sql_exec(conn, "migrate", PQgetvalue(aside, 0, 0), err);
    if (s == AWA_OK)
        s = apply_files(conn, err);
    if (s == AWA_OK)
        s = awa__sql_run(conn, SQL_ENGINE_FORMS, NULL, &res, err);
    if (s == AWA_OK)
        s = awa__sql_exec(conn, "migrate", "ROLLBACK TO SAVEPOINT rehearsal", err);
    if (s == AWA_OK)
        *ret_forms = TAKE(res);
    return s;
}

static awa_status
drop_outdated(PGconn *conn, awa_error *err)
{
    AUTO(pgresult) PGresult *old = NULL;
    AUTO(pgresult) PGresult *new = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    const char *forms;
    awa_status s;

    s = awa__sql_run(conn, SQL_ENGINE_FORMS, NULL, &old, err);
    if (s != AWA_OK)
        return s;
    forms = PQgetvalue(old, 0, 0);
    if (strcmp(forms, "[]") == 0)
        return AWA_OK;
    s = rehearse(conn, forms, &new, err);
    if (s == AWA_OK)
        s = awa__sql_run(conn, SQL_ENGINE_OUTDATED,
                         (const char *[]){ forms, PQgetvalue(new, 0, 0) }, &res, err);
    if (s != AWA_OK)
        return s;
    if (!PQgetisnull(res, 0, 1))
        return awa__fail(err, AWA_ESCHEMA,
                         "migrate: %s is made of what changes in this version; drop it, migrate, "
                         "make it again",
                         PQgetvalue(res, 0, 1));
    if (PQgetisnull(res, 0, 0))
        return AWA_OK;
    return awa__sql_exec(conn, "migrate", PQgetvalue(res, 0, 0), err);
}

static awa_status
apply_engine(PGconn *conn, awa_error *err)
{
    awa_status s = drop_outdated(conn, err);

    if (s == AWA_OK)
        s = apply_files(conn, err);
    return s == AWA_OK ? run(conn, SQL_ENGINE_RECORD,
                             (const char *[]){ awa__engine_checksum, AWA_VERSION }, err)
                       : s;
}

/* Inside the transaction. */
static awa_status
migrate(PGconn *conn, struct awa__migration *done, awa_error *err)
{
    bool current = false;
    awa_status s;

    s = run(conn, SQL_MIGRATION_BEGIN, NULL, err);
    if (s == AWA_OK)
        s = ensure_ledger(conn, err);
    if (s == AWA_OK)
        s = awa__sql_exec(conn, "migrate", become_owner, err);
    if (s == AWA_OK)
        s = read_version(conn, &done->from, err);
    if (s == AWA_OK)
        s = read_engine(conn, &current, err);
    if (s == AWA_OK)
        s = apply_schema(conn, done->from, err);
    if (s == AWA_OK && (!current || done->from < newest_file()))
        s = apply_engine(conn, err);

    done->to = newest_file();
    done->engine_applied = !current || done->from < done->to;
    return s;
}

/* The first error is the one to report; a session that cannot roll back is gone anyhow. */
static awa_status
finish(PGconn *conn, awa_status s, awa_error *err)
{
    awa_status ended;

    if (s == AWA_OK)
        return awa__sql_exec(conn, "migrate", "COMMIT", err);
    ended = awa__sql_exec(conn, "migrate", "ROLLBACK", NULL);
    (void)ended;
    return s;
}

awa_status
awa__migrate(PGconn *conn, struct awa__migration *ret_done, awa_error *err)
{
    struct awa__migration done = { 0 };
    awa_status s;

    if (PQtransactionStatus(conn) != PQTRANS_IDLE && PQstatus(conn) == CONNECTION_OK)
        return awa__fail(err, AWA_EINVAL, "migrate: the session is inside a transaction");
    s = check_encoding(conn, err);
    if (s == AWA_OK)
        s = awa__sql_exec(conn, "migrate", begin, err);
    if (s != AWA_OK)
        return s;

    s = finish(conn, migrate(conn, &done, err), err);
    if (s == AWA_OK)
        *ret_done = done;
    return s;
}

awa_status
awa_migrate(PGconn *conn, awa_error *reterr)
{
    struct awa__migration done;

    if (conn == NULL)
        return awa__fail(reterr, AWA_EINVAL, "migrate: no session");
    return awa__migrate(conn, &done, reterr);
}
