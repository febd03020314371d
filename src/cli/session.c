/* SPDX-License-Identifier: MIT */
/* See session.h. */
#include "cli/session.h"

#include <string.h>

#include "cli/output.h"
#include "lib/schema.h"
#include "pg/interrupt.h"

/*
 * The usual directory of the private cluster. Not root's home: the server's user cannot enter it.
 */
static char *
usual_dir(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    char *dir;
    int n;

    if (geteuid() == 0)
        return strdup("/var/lib/awa/dev");
    if (state != NULL && *state == '/')
        n = asprintf(&dir, "%s/awa/dev", state);
    else
        n = asprintf(&dir, "%s/.local/state/awa/dev", home != NULL ? home : "");
    return n < 0 ? NULL : dir;
}

awa_status
dev_cluster(const struct call *call, struct cluster **ret_cluster, awa_error *err)
{
    const char *chosen = call_text(call, "dir");
    AUTO(free) char *dir = NULL;

    if (chosen == NULL)
        chosen = getenv("AWA_DEV_DIR");
    dir = chosen != NULL && *chosen != '\0' ? strdup(chosen) : usual_dir();
    if (dir == NULL)
        return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
    return cluster_new(dir, false, ret_cluster, err);
}

awa_status
dev_start(const struct call *call, struct cluster *c, awa_error *err)
{
    bool started = false;
    awa_status s = cluster_start(c, &started, err);

    if (s != AWA_OK)
        cluster_print_log(c, stderr);
    if (started)
        say(call, "dev: started the private cluster in %s", cluster_dir(c));
    return s;
}

static awa_status
start_dev(const struct call *call, char **ret_dsn, awa_error *err)
{
    AUTO(cluster) struct cluster *c = NULL;
    awa_status s = dev_cluster(call, &c, err);

    if (s == AWA_OK)
        s = dev_start(call, c, err);
    if (s != AWA_OK)
        return s;
    *ret_dsn = strdup(cluster_dsn(c));
    return *ret_dsn != NULL ? AWA_OK : awa__fail(err, AWA_ENOMEM, "dev: out of memory");
}

awa_status
session_dsn(const struct call *call, char **ret_dsn, awa_error *err)
{
    const char *dsn = call_text(call, "dsn");

    if (call_flag(call, "dev"))
        return start_dev(call, ret_dsn, err);
    if (dsn == NULL)
        dsn = getenv("DATABASE_URL");
    if (dsn == NULL || *dsn == '\0')
        return AWA_OK;
    *ret_dsn = strdup(dsn);
    return *ret_dsn != NULL ? AWA_OK : awa__fail(err, AWA_ENOMEM, "dsn: out of memory");
}

/*
 * Times without a zone are read and printed in the user's zone: PGTZ, which libpq sends, or else
 * TZ, unless that names a file. For TZ this sets PGTZ, and returns true.
 */
static bool
lend_zone(void)
{
    const char *zone = getenv("TZ");

    if (zone == NULL || getenv("PGTZ") != NULL)
        return false;
    zone += *zone == ':';
    if (*zone == '/')
        return false;
    return setenv("PGTZ", *zone != '\0' ? zone : "UTC", 1) == 0;
}

static awa_status
connect_with_zone(const struct call *call, const char *dsn, PGconn **ret_conn, awa_error *err)
{
    bool lent = lend_zone();
    awa_status s = awa_connect(dsn, ret_conn, err);

    if (lent)
        unsetenv("PGTZ"); /* programs that we start must not get it */
    if (s == AWA_OK || !lent || strstr(err->message, "TimeZone") == NULL)
        return s;
    say(call, "TZ=%s: the server knows no such zone; times are in its own", getenv("TZ"));
    return awa_connect(dsn, ret_conn, err);
}

awa_status
session_open(const struct call *call, PGconn **ret_conn, awa_error *err)
{
    AUTO(free) char *dsn = NULL;
    awa_status s = session_dsn(call, &dsn, err);

    if (s == AWA_OK)
        s = connect_with_zone(call, dsn, ret_conn, err);
    if (s == AWA_OK)
        interrupt_watch(*ret_conn);
    return s;
}

awa_status
session_open_engine(const struct call *call, PGconn **ret_conn, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = session_open(call, &conn, err);

    if (s == AWA_OK)
        s = awa__schema_check(conn, err);
    if (s == AWA_OK)
        *ret_conn = TAKE(conn);
    return s;
}
