/* SPDX-License-Identifier: MIT */
/*
 * Brings schema awa to the state of the embedded files, in one transaction: repairs what mend.h
 * lists, applies the schema files that are missing, and then the whole engine if any of it differs.
 * A database that is newer than these files, or was made from others, is refused. What is wrong
 * with the tables is repaired in a second transaction: reading them takes long, and the first one
 * holds locks on views.
 *
 * CREATE OR REPLACE keeps prepared statements and grants, but it cannot change the form of a
 * function or view, and it removes nothing. So the new engine is first applied in a savepoint, with
 * the old one set aside, and rolled back. What the new engine does not have in the same form is
 * then dropped, and nothing else.
 */
#include "lib/mend.h"

#include <string.h>

#include "lib/migrate.h"
#include "statements_lib.h"

/* READ COMMITTED: a migration that waited for another one must see what that one did. */
static const char begin[] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
static const char begin_check[] = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";

/* While we wait for a reader of a view, all later readers of it wait for us. */
static const char give_up_soon[] = "SET LOCAL lock_timeout = '3s'";

/* All objects have one owner, whichever login migrates. */
static const char become_owner[] = "SET LOCAL ROLE awa_owner";

/* What one transaction knows. */
struct migration {
    bool check;
    char *role;    /* the session's own */
    bool known;    /* the ledger awa.schema_migrations exists */
    bool recorded; /* there is a record of how the objects should be */
    bool current;  /* the engine of the database is that of our files */
    PGresult *catalog;
    struct awa__migration *done;
};

static inline void
auto_transaction(struct migration *m)
{
    free(m->role);
    PQclear(m->catalog);
}

/* JSON may hold any character. Another encoding would fail, but only at the first that it lacks. */
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

/* Runs a statement whose rows do not matter. */
static awa_status
run(PGconn *conn, const struct awa__sql *sql, const char *const *params, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    return awa__query(conn, sql, params, &res, err);
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
read_known(PGconn *conn, struct migration *m, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(conn, SQL_MIGRATIONS_EXIST, NULL, &res, err);

    if (s != AWA_OK)
        return s;
    m->known = strcmp(PQgetvalue(res, 0, 0), "t") == 0;
    m->recorded = strcmp(PQgetvalue(res, 0, 1), "t") == 0;
    return AWA_OK;
}

/* Checks that row i of the ledger records the file that we have under this number. */
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

/* Reads how many schema files the database has. ESCHEMA unless all of them are ours. */
static awa_status
read_version(PGconn *conn, int *ret_version, awa_error *err)
{
    AUTO(pgresult) PGresult *ledger = NULL;
    awa_status s;

    s = awa__query(conn, SQL_MIGRATIONS_LIST, NULL, &ledger, err);
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

        s = awa__exec(conn, f->name, f->text, err);
        if (s != AWA_OK)
            return s;
        snprintf(number, sizeof number, "%d", f->number);
        s = run(conn, SQL_MIGRATION_INSERT, (const char *[]){ number, f->name, f->checksum }, err);
        if (s != AWA_OK)
            return s;
    }
    return AWA_OK;
}

/* Reads whether the engine of the database is that of our files. ESCHEMA if it is a newer one. */
static awa_status
read_engine(PGconn *conn, bool *ret_current, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__query(conn, SQL_ENGINE_IN_FORCE, (const char *[]){ AWA_VERSION }, &res, err);
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
        awa_status s = awa__exec(conn, f->name, f->text, err);

        if (s != AWA_OK)
            return s;
    }
    return AWA_OK;
}

/* Finds out the forms of our engine: applies it and rolls that back. `forms` are the old ones. */
static awa_status
rehearse(PGconn *conn, const char *forms, PGresult **ret_forms, awa_error *err)
{
    AUTO(pgresult) PGresult *aside = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__exec(conn, "migrate", "SAVEPOINT rehearsal", err);
    if (s == AWA_OK)
        s = awa__query(conn, SQL_ENGINE_SET_ASIDE, (const char *[]){ forms }, &aside, err);
    if (s == AWA_OK)
        s = awa__exec(conn, "migrate", PQgetvalue(aside, 0, 0), err);
    if (s == AWA_OK)
        s = apply_files(conn, err);
    if (s == AWA_OK)
        s = awa__query(conn, SQL_ENGINE_FORMS, NULL, &res, err);
    if (s == AWA_OK)
        s = awa__exec(conn, "migrate", "ROLLBACK TO SAVEPOINT rehearsal", err);
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

    s = awa__query(conn, SQL_ENGINE_FORMS, NULL, &old, err);
    if (s != AWA_OK)
        return s;
    forms = PQgetvalue(old, 0, 0);
    if (strcmp(forms, "[]") == 0)
        return AWA_OK;
    s = rehearse(conn, forms, &new, err);
    if (s == AWA_OK)
        s = awa__query(conn, SQL_ENGINE_OUTDATED, (const char *[]){ forms, PQgetvalue(new, 0, 0) },
                       &res, err);
    if (s != AWA_OK)
        return s;
    if (!PQgetisnull(res, 0, 1))
        return awa__fail(err, AWA_ESCHEMA,
                         "migrate: %s is made of what changes in this version; drop it, migrate, "
                         "make it again",
                         PQgetvalue(res, 0, 1));
    if (PQgetisnull(res, 0, 0))
        return AWA_OK;
    return awa__exec(conn, "migrate", PQgetvalue(res, 0, 0), err);
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

/* ---- To mend and apply ------------------------------------------------------------------- */

static awa_status
enter(PGconn *conn, struct migration *m, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__exec(conn, "migrate", m->check ? begin_check : begin, err);

    if (s == AWA_OK)
        s = awa__query(conn, SQL_MIGRATION_BEGIN, NULL, &res, err);
    if (s != AWA_OK)
        return s;
    m->role = strdup(PQgetvalue(res, 0, 0));
    if (m->role == NULL)
        return awa__fail(err, AWA_ENOMEM, "migrate: out of memory");
    return awa__exec(conn, "migrate", give_up_soon, err);
}

static awa_status
read_moved(PGconn *conn, bool *ret_moved, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(conn, SQL_ORIGIN_CHECK, NULL, &res, err);

    if (s == AWA_OK)
        *ret_moved = strcmp(PQgetvalue(res, 0, 0), "t") == 0;
    return s;
}

/* Repairs roles and owners, or makes the schema if there is none. The session is then awa_owner. */
static awa_status
take_over(PGconn *conn, struct migration *m, awa_error *err)
{
    awa_status s = mend_roles(conn, m->check, &m->done->found, err);

    if (s == AWA_OK)
        s = read_known(conn, m, err);
    if (s == AWA_OK && !m->known)
        return awa__exec(conn, "bootstrap.sql", awa__bootstrap, err);
    if (s == AWA_OK)
        s = read_catalog(conn, &m->catalog, err);
    if (s == AWA_OK)
        s = mend_owners(conn, m->check, &m->catalog, &m->done->found, err);
    return s == AWA_OK ? awa__exec(conn, "migrate", become_owner, err) : s;
}

static awa_status
apply(PGconn *conn, struct migration *m, bool *ret_moved, awa_error *err)
{
    struct awa__migration *done = m->done;
    struct outdated left = { 0 };
    bool newer;
    awa_status s;

    s = take_over(conn, m, err);
    if (s == AWA_OK)
        s = read_version(conn, &done->from, err);
    if (s == AWA_OK)
        s = read_engine(conn, &m->current, err);
    if (s == AWA_OK && m->recorded)
        s = mend_objects(conn, false, m->catalog, m->role, &done->found, &left, err);
    if (s == AWA_OK)
        s = apply_schema(conn, done->from, err);

    done->to = newest_file();
    newer = !m->current || done->from < done->to;
    done->engine_applied = newer || left.engine;
    if (s == AWA_OK && done->engine_applied)
        s = apply_engine(conn, err);
    if (s == AWA_OK && (newer || left.record))
        s = record_objects(conn, err);
    return s == AWA_OK ? read_moved(conn, ret_moved, err) : s;
}

/* ---- To look ----------------------------------------------------------------------------- */

/* Adds to the findings which files are not applied. */
static awa_status
check_files(PGconn *conn, struct migration *m, awa_error *err)
{
    struct awa__migration *done = m->done;
    awa_status s = read_version(conn, &done->from, err);

    if (s == AWA_OK)
        s = read_engine(conn, &m->current, err);
    if (s == AWA_OK && done->from < newest_file())
        s = findings_add(conn, &done->found, "schema", "older than this awa", err);
    if (s == AWA_OK && !m->current)
        s = findings_add(conn, &done->found, "engine", "other than that of this awa", err);
    return s;
}

static awa_status
check_objects(PGconn *conn, struct migration *m, awa_error *err)
{
    struct awa__findings *found = &m->done->found;
    struct outdated left = { 0 };
    awa_status s = AWA_OK;

    if (m->recorded)
        s = mend_objects(conn, true, m->catalog, m->role, found, &left, err);
    if (s != AWA_OK)
        return s;
    if (left.engine || !m->current || m->done->from < newest_file())
        return findings_add(conn, found, "tables", "cannot be compared before the engine is mended",
                            err);
    return mend_tables(conn, true, found, err);
}

/*
 * Compares everything and changes nothing. As awa_owner, if the owners are right. If not, as the
 * session's own role: after a restore without owners everything may belong to it. If that role may
 * not read something, what was found so far is the answer.
 */
static awa_status
look(PGconn *conn, struct migration *m, awa_error *err)
{
    struct awa__findings *found = &m->done->found;
    int n;
    awa_status s;

    m->done->to = newest_file();
    s = mend_roles(conn, true, found, err);
    if (s == AWA_OK)
        s = read_known(conn, m, err);
    if (s == AWA_OK && !m->known)
        return findings_add(conn, found, "schema", "missing", err);
    n = found->n;
    if (s == AWA_OK)
        s = read_catalog(conn, &m->catalog, err);
    if (s == AWA_OK)
        s = mend_owners(conn, true, &m->catalog, found, err);
    if (s == AWA_OK && found->n == n)
        s = awa__exec(conn, "migrate", become_owner, err);
    if (s == AWA_OK)
        s = check_files(conn, m, err);
    if (s == AWA_OK)
        s = check_objects(conn, m, err);
    if (s != AWA_OK && found->n > 0 && err != NULL && strcmp(err->sqlstate, "42501") == 0)
        return AWA_OK;
    return s;
}

/* ---- Transactions ------------------------------------------------------------------------ */

/* Ends a transaction. Returns the error that came first; a failure of the ROLLBACK adds nothing. */
static awa_status
finish(PGconn *conn, awa_status s, bool commit, awa_error *err)
{
    if (s == AWA_OK && commit)
        return awa__exec(conn, "migrate", "COMMIT", err);
    awa__ignore(awa__exec(conn, "migrate", "ROLLBACK", NULL));
    return s;
}

static awa_status
apply_all(PGconn *conn, struct awa__migration *done, bool *ret_moved, awa_error *err)
{
    AUTO(transaction) struct migration m = { .done = done };
    awa_status s = enter(conn, &m, err);

    if (s == AWA_OK)
        s = apply(conn, &m, ret_moved, err);
    return finish(conn, s, true, err);
}

static awa_status
look_at_all(PGconn *conn, struct awa__migration *done, awa_error *err)
{
    AUTO(transaction) struct migration m = { .check = true, .done = done };
    awa_status s = enter(conn, &m, err);

    if (s == AWA_OK)
        s = look(conn, &m, err);
    return finish(conn, s, false, err);
}

/*
 * Repairs the tables. Unless the database was moved, it compares first, because that locks nothing.
 */
static awa_status
mend(PGconn *conn, bool moved, struct awa__migration *done, awa_error *err)
{
    AUTO(transaction) struct migration m = { .done = done };
    AUTO(findings) struct awa__findings wrong = { 0 };
    awa_status s = enter(conn, &m, err);

    if (s == AWA_OK)
        s = awa__exec(conn, "migrate", become_owner, err);
    if (s == AWA_OK && !moved)
        s = mend_tables(conn, true, &wrong, err);
    if (s == AWA_OK && (moved || wrong.n > 0))
        s = mend_tables(conn, false, &done->found, err);
    return finish(conn, s, true, err);
}

static awa_status
migrate(PGconn *conn, enum awa__migrate_mode mode, struct awa__migration *done, awa_error *err)
{
    bool moved = false;
    awa_status s;

    if (mode == MIGRATE_CHECK)
        return look_at_all(conn, done, err);
    s = apply_all(conn, done, &moved, err);
    if (s == AWA_OK && (moved || mode == MIGRATE_WHOLE))
        s = mend(conn, moved, done, err);
    return s;
}

awa_status
awa__migrate(PGconn *conn, enum awa__migrate_mode mode, struct awa__migration *ret_done,
             awa_error *err)
{
    AUTO(migration) struct awa__migration done = { 0 };
    awa_status s;

    if (PQtransactionStatus(conn) != PQTRANS_IDLE && PQstatus(conn) == CONNECTION_OK)
        return awa__fail(err, AWA_EINVAL, "migrate: the session is inside a transaction");
    s = check_encoding(conn, err);
    if (s == AWA_OK)
        s = migrate(conn, mode, &done, err);
    if (s != AWA_OK)
        return s;
    *ret_done = done;
    done.found.n = 0;
    return AWA_OK;
}

awa_status
awa_migrate(PGconn *conn, awa_error *reterr)
{
    AUTO(migration) struct awa__migration done = { 0 };

    if (conn == NULL)
        return awa__fail(reterr, AWA_EINVAL, "migrate: no session");
    return awa__migrate(conn, MIGRATE, &done, reterr);
}
