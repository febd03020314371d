/* SPDX-License-Identifier: MIT */
/*
 * Brings schema awa to the state of the embedded files, in one transaction: the schema files
 * that are missing, then the whole engine if any of it changed. A database that is ahead of
 * these files, or was made from other ones, is left alone.
 */
#include "lib/internal.h"

#include <string.h>

/* READ COMMITTED: whoever waited for the lock must see what the other one did. */
static const char begin[] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/* So that all objects have one owner, whoever migrates. */
static const char become_owner[] = "SET LOCAL ROLE awa_owner";

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

static awa_status
engine_is_current(PGconn *conn, bool *ret_current, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__sql_run(conn, SQL_ENGINE_CHECKSUM, NULL, &res, err);
    if (s != AWA_OK)
        return s;
    *ret_current = PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), awa__engine_checksum) == 0;
    return AWA_OK;
}

static awa_status
apply_engine(PGconn *conn, awa_error *err)
{
    for (const struct awa__sql_file *f = awa__engine_files; f->name != NULL; f++) {
        awa_status s = awa__sql_exec(conn, f->name, f->text, err);

        if (s != AWA_OK)
            return s;
    }
    return run(conn, SQL_ENGINE_RECORD, (const char *[]){ awa__engine_checksum }, err);
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
        s = apply_schema(conn, done->from, err);
    if (s == AWA_OK)
        s = engine_is_current(conn, &current, err);
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
