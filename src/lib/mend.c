/* SPDX-License-Identifier: MIT */
/* See mend.h. */
#include "lib/mend.h"

#include <assert.h>
#include <string.h>

#include "base/buffer.h"
#include "lib/migrate.h"
#include "statements_lib.h"

/* ---- Findings ---------------------------------------------------------------------------- */

void
findings_take(struct awa__findings *f, PGresult **res)
{
    if (PQntuples(*res) == 0)
        return;
    assert(f->n < (int)(sizeof f->of / sizeof f->of[0]));
    f->of[f->n++] = TAKE(*res);
}

awa_status
findings_add(PGconn *conn, struct awa__findings *f, const char *what, const char *detail,
             awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__query(conn, SQL_FINDING_MAKE, (const char *[]){ what, detail }, &res, err);
    if (s == AWA_OK)
        findings_take(f, &res);
    return s;
}

/* Runs the commands in one column of each row; NULL: the row has none. */
static awa_status
run_column(PGconn *conn, const PGresult *res, int column, awa_error *err)
{
    for (int i = 0; i < PQntuples(res); i++) {
        awa_status s = PQgetisnull(res, i, column)
                           ? AWA_OK
                           : awa__exec(conn, "migrate", PQgetvalue(res, i, column), err);

        if (s != AWA_OK)
            return s;
    }
    return AWA_OK;
}

static bool
column_says(const PGresult *res, int column, const char *value)
{
    for (int i = 0; i < PQntuples(res); i++)
        if (strcmp(PQgetvalue(res, i, column), value) == 0)
            return true;
    return false;
}

/* ---- Roles ------------------------------------------------------------------------------- */

/*
 * An error that names the commands for a superuser, as far as they fit; `awa migrate --roles`
 * prints all of them.
 */
static awa_status
ask_for_roles(const PGresult *missing, awa_error *err)
{
    AUTO(buffer) struct buffer commands = { 0 };

    for (int i = 0; i < PQntuples(missing); i++)
        buffer_format(&commands, "%s%s", i > 0 ? "; " : "", PQgetvalue(missing, i, 2));
    if (commands.failed)
        return awa__fail(err, AWA_ENOMEM, "migrate: out of memory");
    return awa__fail(err, AWA_EDB,
                     "migrate: %s: %s, and this login cannot change that; have a superuser run "
                     "what awa migrate --roles prints: %s",
                     PQgetvalue(missing, 0, 0), PQgetvalue(missing, 0, 1), commands.data);
}

awa_status
mend_roles(PGconn *conn, bool check, struct awa__findings *f, awa_error *err)
{
    AUTO(pgresult) PGresult *missing = NULL;
    AUTO(pgresult) PGresult *made = NULL;
    AUTO(pgresult) PGresult *left = NULL;
    awa_status s;

    s = awa__query(conn, SQL_ROLES_MISSING, NULL, &missing, err);
    if (s != AWA_OK || PQntuples(missing) == 0)
        return s;
    findings_take(f, &missing);
    if (check)
        return AWA_OK;
    s = awa__query(conn, SQL_ROLES_MAKE, NULL, &made, err);
    if (s == AWA_OK)
        s = awa__query(conn, SQL_ROLES_MISSING, NULL, &left, err);
    if (s == AWA_OK && PQntuples(left) > 0)
        s = ask_for_roles(left, err);
    return s;
}

/* ---- Owners ------------------------------------------------------------------------------ */

/* Only the owner of an object, or a superuser, can give it away. */
static awa_status
check_owners(const PGresult *wrong, awa_error *err)
{
    for (int i = 0; i < PQntuples(wrong); i++)
        if (strcmp(PQgetvalue(wrong, i, 4), "t") != 0)
            return awa__fail(err, AWA_EDB,
                             "migrate: schema awa belongs to %s, who restored it; run awa migrate "
                             "as %s, or as a superuser",
                             PQgetvalue(wrong, i, 3), PQgetvalue(wrong, i, 3));
    return AWA_OK;
}

awa_status
read_catalog(PGconn *conn, PGresult **ret_catalog, awa_error *err)
{
    return awa__query(conn, SQL_CATALOG_READ, NULL, ret_catalog, err);
}

/* Runs a statement about a catalog that was read. */
static awa_status
ask_catalog(PGconn *conn, const struct awa__sql *sql, const PGresult *catalog, PGresult **ret_res,
            awa_error *err)
{
    return awa__query(conn, sql, (const char *[]){ PQgetvalue(catalog, 0, 0) }, ret_res, err);
}

static awa_status
restore_owners(PGconn *conn, const PGresult *wrong, PGresult **catalog, awa_error *err)
{
    awa_status s = check_owners(wrong, err);

    if (s == AWA_OK)
        s = run_column(conn, wrong, 2, err);
    if (s != AWA_OK)
        return s;
    PQclear(*catalog);
    *catalog = NULL;
    return read_catalog(conn, catalog, err);
}

awa_status
mend_owners(PGconn *conn, bool check, PGresult **catalog, struct awa__findings *f, awa_error *err)
{
    AUTO(pgresult) PGresult *wrong = NULL;
    awa_status s;

    s = ask_catalog(conn, SQL_CATALOG_OWNERS, *catalog, &wrong, err);
    if (s == AWA_OK && !check && PQntuples(wrong) > 0)
        s = restore_owners(conn, wrong, catalog, err);
    if (s == AWA_OK)
        findings_take(f, &wrong);
    return s;
}

/* ---- Objects ----------------------------------------------------------------------------- */

static awa_status
become(PGconn *conn, const char *role, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    return awa__query(conn, SQL_ROLE_SET, (const char *[]){ role }, &res, err);
}

/* A missing table or column is an error: what was in it cannot be made again. */
static awa_status
check_missing(const PGresult *differences, awa_error *err)
{
    for (int i = 0; i < PQntuples(differences); i++)
        if (strcmp(PQgetvalue(differences, i, 5), "t") == 0)
            return awa__fail(err, AWA_ESCHEMA, "migrate: %s is missing; restore it from a backup",
                             PQgetvalue(differences, i, 0));
    return AWA_OK;
}

awa_status
mend_objects(PGconn *conn, bool check, const PGresult *catalog, const char *role,
             struct awa__findings *f, struct outdated *ret_left, awa_error *err)
{
    AUTO(pgresult) PGresult *differences = NULL;
    awa_status s;

    s = ask_catalog(conn, SQL_CATALOG_DIFFERENCES, catalog, &differences, err);
    if (s != AWA_OK || PQntuples(differences) == 0)
        return s;
    if (!check) {
        s = check_missing(differences, err);
        if (s == AWA_OK)
            s = become(conn, role, err);
        if (s == AWA_OK)
            s = run_column(conn, differences, 2, err);
        if (s == AWA_OK)
            s = become(conn, "awa_owner", err);
        if (s == AWA_OK)
            s = run_column(conn, differences, 3, err);
        if (s != AWA_OK)
            return s;
    }
    ret_left->engine = column_says(differences, 4, "t");
    ret_left->record = column_says(differences, 0, "engine");
    findings_take(f, &differences);
    return AWA_OK;
}

awa_status
record_objects(PGconn *conn, awa_error *err)
{
    AUTO(pgresult) PGresult *catalog = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = read_catalog(conn, &catalog, err);

    return s == AWA_OK ? ask_catalog(conn, SQL_CATALOG_RECORD, catalog, &res, err) : s;
}

/* ---- Tables ------------------------------------------------------------------------------ */

awa_status
mend_tables(PGconn *conn, bool check, struct awa__findings *f, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__query(conn, SQL_TABLES_MEND, (const char *[]){ check ? "true" : "false" }, &res, err);
    if (s == AWA_OK)
        findings_take(f, &res);
    return s;
}
