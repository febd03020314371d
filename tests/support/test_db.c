/* SPDX-License-Identifier: MIT */
/*
 * Databases for tests. The template is made by the first test that needs one, in whichever
 * program that is; an advisory lock makes the others wait. It is migrated by a login that is no
 * superuser, as in production.
 */
#include "test_db.h"

#include <string.h>

#include "statements_cli.h"
#include "test_cluster.h"

enum { MUTANT_MAX = 256 * 1024 };

static const char template_logins[] =
    "DO $$ BEGIN\n"
    "    CREATE ROLE test_owner LOGIN CREATEROLE;\n"
    "    CREATE ROLE test_producer LOGIN;\n"
    "    CREATE ROLE test_bulk LOGIN;\n"
    "    CREATE ROLE test_worker LOGIN;\n"
    "    CREATE ROLE test_operator LOGIN;\n"
    "    CREATE ROLE test_viewer LOGIN;\n"
    "    CREATE ROLE test_stranger LOGIN;\n"       /* without any role of ours */
    "EXCEPTION WHEN duplicate_object THEN NULL;\n" /* an earlier attempt got this far */
    "END $$";

static const char template_grants[] = "GRANT awa_producer TO test_producer;\n"
                                      "GRANT awa_bulk_producer TO test_bulk;\n"
                                      "GRANT awa_worker TO test_worker;\n"
                                      "GRANT awa_operator TO test_operator;\n"
                                      "GRANT awa_viewer TO test_viewer;\n";

/*
 * Secrets in tests are small numbers, 7 being the first. A worker's public number is then the same,
 * so that there is one to remember. And the engine has served for long: a worker may have been
 * silent for some of that time.
 */
static const char template_numbers[] = "SELECT setval('awa.worker_numbers', 7, false),"
                                       " setval('awa.served_ms', 1000000000)";

static const char *cluster; /* how to reach it */
static PGconn *admin;       /* in its first database */

static awa_status
connect_as(const char *database, const char *user, PGconn **ret_conn, awa_error *err)
{
    char dsn[400];

    snprintf(dsn, sizeof dsn, "host=%s port=%s user=%s dbname=%s", PQhost(admin), PQport(admin),
             user, database);
    return awa_connect(dsn, ret_conn, err);
}

/*
 * A change to the engine that must turn some test red; see tests/mutants.py. Only for a program
 * that runs with a cluster of its own.
 */
static awa_status
apply_mutant(awa_error *err)
{
    const char *path = getenv("AWA_TEST_MUTANT");
    AUTO(file) FILE *file = path != NULL ? fopen(path, "re") : NULL;
    AUTO(free) char *text = calloc(1, MUTANT_MAX);
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s;

    if (path == NULL)
        return AWA_OK;
    if (file == NULL || text == NULL || fread(text, 1, MUTANT_MAX - 1, file) == 0)
        return awa__fail(err, AWA_ESYS, "mutant: cannot read %s", path);
    s = connect_as("test_unfinished", PQuser(admin), &conn, err);
    if (s == AWA_OK)
        s = awa__exec(conn, "mutant", "SET ROLE awa_owner", err);
    return s == AWA_OK ? awa__exec(conn, "mutant", text, err) : s;
}

static awa_status
number_workers(awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = connect_as("test_unfinished", PQuser(admin), &conn, err);

    return s == AWA_OK ? awa__exec(conn, "numbers", template_numbers, err) : s;
}

/* Migrated, with its logins. */
static awa_status
fill_template(awa_error *err)
{
    AUTO(pgconn) PGconn *owner = NULL;
    awa_status s;

    s = connect_as("test_unfinished", "test_owner", &owner, err);
    if (s == AWA_OK)
        s = awa_migrate(owner, err);
    if (s == AWA_OK)
        s = awa__exec(admin, "grants", template_grants, err);
    if (s == AWA_OK)
        s = number_workers(err);
    return s == AWA_OK ? apply_mutant(err) : s;
}

static awa_status
make_template(awa_error *err)
{
    awa_status s = awa__exec(admin, "logins", template_logins, err);

    if (s == AWA_OK)
        s = awa__exec(admin, "template", "DROP DATABASE IF EXISTS test_unfinished", err);
    if (s == AWA_OK)
        s = awa__exec(admin, "template", "CREATE DATABASE test_unfinished OWNER test_owner", err);
    if (s == AWA_OK)
        s = fill_template(err);
    if (s == AWA_OK)
        s = awa__exec(admin, "template", "ALTER DATABASE test_unfinished RENAME TO test_template",
                      err);
    return s;
}

static awa_status
ensure_template(awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = awa__exec(admin, "template", "SELECT pg_advisory_lock(1)", err);
    if (s == AWA_OK)
        s = awa__query(admin, SQL_DATABASE_EXISTS, (const char *[]){ "test_template" }, &res, err);
    if (s == AWA_OK && strcmp(PQgetvalue(res, 0, 0), "f") == 0)
        s = make_template(err);
    if (s == AWA_OK)
        s = awa__exec(admin, "template", "SELECT pg_advisory_unlock(1)", err);
    return s;
}

/* The cluster of the run, or one of our own; and the template in it. */
static awa_status
ensure_admin(awa_error *err)
{
    awa_status s = AWA_OK;

    if (admin != NULL)
        return AWA_OK;
    if (cluster == NULL)
        cluster = getenv(TEST_DSN_VARIABLE);
    if (cluster == NULL)
        s = test_cluster_start(&cluster, err);
    if (s == AWA_OK)
        s = awa_connect(cluster, &admin, err);
    if (s == AWA_OK)
        s = awa__exec(admin, "template", "SET client_min_messages = warning", err);
    if (s == AWA_OK)
        s = ensure_template(err);
    if (s != AWA_OK)
        test_template_forget();
    return s;
}

void
test_template_forget(void)
{
    PQfinish(admin);
    admin = NULL;
}

awa_status
test_db_create(PGconn **ret_db, awa_error *err)
{
    static int count;
    char name[40], sql[120];
    awa_status s = ensure_admin(err);

    if (s != AWA_OK)
        return s;
    snprintf(name, sizeof name, "test_%d_%d", getpid(), count++);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE test_template OWNER test_owner", name);
    s = awa__exec(admin, name, sql, err);
    return s == AWA_OK ? connect_as(name, PQuser(admin), ret_db, err) : s;
}

awa_status
test_db_drop(const char *name, awa_error *err)
{
    char sql[120];

    snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", name);
    return awa__exec(admin, name, sql, err);
}
