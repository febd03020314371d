/* SPDX-License-Identifier: MIT */
/* awa migrate: creates, upgrades or repairs schema awa, and prints what was done. */
#include "base/buffer.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "lib/migrate.h"
#include "statements_cli.h"

static void
print_findings(const struct awa__findings *found)
{
    for (int k = 0; k < found->n; k++)
        for (int i = 0; i < PQntuples(found->of[k]); i++)
            printf("%s: %s\n", PQgetvalue(found->of[k], i, 0), PQgetvalue(found->of[k], i, 1));
}

/* Prints what was done. Findings of a database that had no schema are not printed: it lacks all. */
static void
print_done(const struct awa__migration *done)
{
    bool mended = done->from > 0 && done->found.n > 0;

    if (mended) {
        print_findings(&done->found);
        puts("mended");
    }
    for (int n = done->from; n < done->to; n++)
        printf("applied %s\n", awa__schema_files[n].name);
    if (done->engine_applied)
        puts("applied the engine");
    else if (!mended)
        puts("nothing to do");
}

static void
print_differences(const struct awa__migration *done)
{
    print_findings(&done->found);
    if (done->found.n == 0)
        puts("nothing differs");
}

static void
add_column(struct buffer *list, const struct awa__findings *found, int column)
{
    buffer_array_begin(list);
    for (int k = 0; k < found->n; k++)
        for (int i = 0; i < PQntuples(found->of[k]); i++)
            buffer_array_text(list, PQgetvalue(found->of[k], i, column));
    buffer_array_end(list);
}

static awa_status
print_report(PGconn *conn, const struct awa__migration *done, bool check, awa_error *err)
{
    static const struct awa__findings none = { 0 };
    const struct awa__findings *found = check || done->from > 0 ? &done->found : &none;
    AUTO(pgresult) PGresult *res = NULL;
    AUTO(buffer) struct buffer what = { 0 };
    AUTO(buffer) struct buffer detail = { 0 };
    char from[12], to[12];
    awa_status s;

    snprintf(from, sizeof from, "%d", done->from);
    snprintf(to, sizeof to, "%d", done->to);
    add_column(&what, found, 0);
    add_column(&detail, found, 1);
    if (what.failed || detail.failed)
        return awa__fail(err, AWA_ENOMEM, "migrate: out of memory");
    s = awa__query(conn, SQL_MIGRATION_REPORT,
                   (const char *[]){ from, to, done->engine_applied ? "true" : "false", what.data,
                                     detail.data, check ? "true" : "false" },
                   &res, err);
    if (s == AWA_OK)
        print_json(res);
    return s;
}

static awa_status
print_roles(PGconn *conn, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(conn, SQL_ROLES_SCRIPT, NULL, &res, err);

    if (s == AWA_OK)
        puts(PQgetvalue(res, 0, 0));
    return s;
}

static awa_status
print_outcome(struct call *call, PGconn *conn, const struct awa__migration *done, bool check,
              awa_error *err)
{
    if (call_flag(call, "json"))
        return print_report(conn, done, check, err);
    if (!call_flag(call, "quiet"))
        (check ? print_differences : print_done)(done);
    return AWA_OK;
}

int
cmd_migrate(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(migration) struct awa__migration done = { 0 };
    bool check = call_flag(call, "check");
    awa_error err;
    awa_status s;

    s = session_open(call, &conn, &err);
    if (s == AWA_OK && call_flag(call, "roles")) {
        s = print_roles(conn, &err);
        return s == AWA_OK ? EXIT_DONE : report(&err);
    }
    if (s == AWA_OK)
        s = awa__migrate(conn, check ? MIGRATE_CHECK : MIGRATE_WHOLE, &done, &err);
    if (s == AWA_OK)
        s = print_outcome(call, conn, &done, check, &err);
    if (s != AWA_OK)
        return report(&err);
    return check && done.found.n > 0 ? EXIT_FAILED : EXIT_DONE;
}

const struct option_spec migrate_options[] = {
    { .name = "check", .help = "only look: print what differs, and exit with 1 if anything does" },
    { .name = "roles", .help = "print, as SQL, what this login needs before it can migrate" },
    { 0 },
};
