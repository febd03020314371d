/* SPDX-License-Identifier: MIT */
/* A private PostgreSQL cluster: a folder and a server in it. A lock lets one process change it. */
#include "cli/cluster.h"

#include <string.h>
#include <sys/stat.h>

#include "cli/disk.h"
#include "cli/server.h"
#include "statements_cli.h"

enum {
    LOG_TAIL = 2000,    /* how many bytes of the log are printed */
    LOG_MAX = 10 << 20, /* a larger log is renamed at the next start */
};

struct cluster {
    struct folder folder;
    struct server server;
    char *dsn;
    off_t log_start; /* size of the log when the current start began */
};

/* These variables would lead libpq to another server than the one in the directory. */
static void
forget_environment(void)
{
    unsetenv("PGHOSTADDR");
    unsetenv("PGSERVICE");
}

awa_status
cluster_new(const char *dir, bool throwaway, struct cluster **ret_cluster, awa_error *err)
{
    AUTO(cluster) struct cluster *c = calloc(1, sizeof *c);
    awa_status s;

    if (c == NULL)
        return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
    forget_environment();
    s = folder_init(&c->folder, dir, err);
    if (s != AWA_OK)
        return s;
    c->server = (struct server){ .folder = &c->folder, .throwaway = throwaway };
    c->dsn = server_dsn(&c->server, SERVER_DATABASE);
    if (c->dsn == NULL)
        return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
    *ret_cluster = TAKE(c);
    return AWA_OK;
}

struct cluster *
cluster_free(struct cluster *c)
{
    if (c == NULL)
        return NULL;
    folder_done(&c->folder);
    free(c->dsn);
    free(c);
    return NULL;
}

const char *
cluster_dir(const struct cluster *c)
{
    return c->folder.path;
}

const char *
cluster_dsn(const struct cluster *c)
{
    return c->dsn;
}

/* ---- The log ----------------------------------------------------------------------------- */

static void
begin_log(struct cluster *c)
{
    AUTO(free) char *path = folder_join(&c->folder, SERVER_LOG);
    AUTO(free) char *old = folder_join(&c->folder, SERVER_LOG ".1");
    struct stat st;

    c->log_start = 0;
    if (path == NULL || old == NULL || stat(path, &st) != 0)
        return;
    if (st.st_size > LOG_MAX && rename(path, old) == 0)
        return;
    c->log_start = st.st_size;
}

void
cluster_print_log(const struct cluster *c, FILE *out)
{
    AUTO(free) char *path = folder_join(&c->folder, SERVER_LOG);
    AUTO(file) FILE *log = path != NULL ? fopen(path, "re") : NULL;
    char text[LOG_TAIL];
    struct stat st;
    off_t from;

    if (log == NULL || fstat(fileno(log), &st) != 0 || st.st_size <= c->log_start)
        return;
    from = st.st_size - LOG_TAIL > c->log_start ? st.st_size - LOG_TAIL : c->log_start;
    if (fseeko(log, from, SEEK_SET) != 0)
        return;
    fwrite(text, 1, fread(text, 1, sizeof text, log), out);
}

/* ---- Start, stop, remove ----------------------------------------------------------------- */

/* Makes the database. Runs at every start: an earlier one may have died between initdb and here. */
static awa_status
ensure_database(const struct cluster *c, awa_error *err)
{
    AUTO(free) char *dsn = server_dsn(&c->server, "postgres");
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (dsn == NULL)
        return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
    s = awa_connect(dsn, &conn, err);
    if (s == AWA_OK)
        s = awa__query(conn, SQL_DATABASE_EXISTS, (const char *[]){ SERVER_DATABASE }, &res, err);
    if (s == AWA_OK && strcmp(PQgetvalue(res, 0, 0), "f") == 0)
        s = awa__exec(conn, "dev", "CREATE DATABASE " SERVER_DATABASE, err);
    return s;
}

/* The caller holds the lock, and acts as the owner. */
static awa_status
start(struct cluster *c, int lock, bool *ret_started, awa_error *err)
{
    bool running = server_pid(&c->server) != 0;
    awa_status s = AWA_OK;

    if (!running)
        begin_log(c);
    if (!server_is_initialised(&c->server))
        s = server_init(&c->server, lock, err);
    if (s == AWA_OK)
        s = server_start(&c->server, err);
    if (s == AWA_OK)
        s = ensure_database(c, err);
    if (s == AWA_OK)
        *ret_started = !running;
    return s;
}

awa_status
cluster_start(struct cluster *c, bool *ret_started, awa_error *err)
{
    AUTO(owner) struct owner back = owner_now();
    AUTO(fd) int lock = -1;
    awa_status s;

    s = folder_prepare(&c->folder, err);
    if (s == AWA_OK)
        s = owner_assume(c->folder.owner, err);
    if (s == AWA_OK)
        s = folder_lock(&c->folder, &lock, err);
    return s == AWA_OK ? start(c, lock, ret_started, err) : s;
}

awa_status
cluster_stop(struct cluster *c, bool *ret_stopped, awa_error *err)
{
    AUTO(owner) struct owner back = owner_now();
    AUTO(fd) int lock = -1;
    bool running;
    awa_status s;

    *ret_stopped = false;
    if (!folder_is_ours(&c->folder))
        return AWA_OK;
    s = owner_assume(c->folder.owner, err);
    if (s == AWA_OK)
        s = folder_lock(&c->folder, &lock, err);
    if (s != AWA_OK)
        return s;
    running = server_pid(&c->server) != 0;
    s = server_stop(&c->server, err);
    if (s == AWA_OK)
        *ret_stopped = running;
    return s;
}

/* Stops the server. The caller gets the lock, so nobody starts it before the directory is gone. */
static awa_status
stop_for_good(struct cluster *c, int *ret_lock, awa_error *err)
{
    AUTO(owner) struct owner back = owner_now();
    awa_status s;

    s = owner_assume(c->folder.owner, err);
    if (s == AWA_OK)
        s = folder_lock(&c->folder, ret_lock, err);
    return s == AWA_OK ? server_stop(&c->server, err) : s;
}

awa_status
cluster_remove(struct cluster *c, awa_error *err)
{
    AUTO(fd) int lock = -1;
    awa_status s;

    if (!folder_is_ours(&c->folder))
        return awa__fail(err, AWA_ENOTFOUND, "dev: there is no cluster of ours in %s",
                         c->folder.path);
    s = stop_for_good(c, &lock, err);
    return s == AWA_OK ? folder_remove(&c->folder, err) : s;
}

void
cluster_look(const struct cluster *c, struct cluster_state *ret_state)
{
    *ret_state = (struct cluster_state){
        .exists = folder_is_ours(&c->folder) && server_is_initialised(&c->server),
        .pid = server_pid(&c->server),
        .major = server_major(&c->server),
        .bytes = disk_usage(c->folder.path),
    };
}
