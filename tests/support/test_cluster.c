/* SPDX-License-Identifier: MIT */
/*
 * The throw-away cluster of a test run. A process that is killed cannot tidy up: its server gets
 * a signal from the kernel, its directory is swept by the next run. So the name of a directory
 * begins with the number of the process that made it.
 */
#include "test_cluster.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <string.h>

#include "cli/cluster.h"

static const char prefix[] = "/tmp/awa-test-";

static struct cluster *running;

static void
remove_dir(const char *dir)
{
    AUTO(cluster) struct cluster *c = NULL;
    awa_error err = { 0 };
    awa_status s = cluster_new(dir, true, &c, &err);

    if (s == AWA_OK)
        s = cluster_remove(c, &err);
    if (s != AWA_OK)
        fprintf(stderr, "test cluster: %s\n", err.message);
}

/* Directories of processes that have ended, as far as we may see and delete them. */
static void
sweep(void)
{
    glob_t found = { 0 };

    if (glob("/tmp/awa-test-*", 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            const char *dir = found.gl_pathv[i];
            pid_t pid = (pid_t)strtol(dir + sizeof prefix - 1, NULL, 10);

            if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH && access(dir, W_OK) == 0)
                remove_dir(dir);
        }
    globfree(&found);
}

static void
stop_at_exit(void)
{
    awa_error err;

    if (running == NULL)
        return;
    if (cluster_remove(running, &err) != AWA_OK)
        fprintf(stderr, "test cluster: %s\n", err.message);
    running = cluster_free(running);
}

/*
 * name=value in the variable becomes a setting of the server, which has just been made. It is
 * started again, for after a mere reload the next session may still be without it.
 */
static awa_status
apply_setting(struct cluster *c, awa_error *err)
{
    const char *setting = getenv(TEST_SETTING_VARIABLE);
    AUTO(pgconn) PGconn *conn = NULL;
    char sql[200];
    bool changed;
    awa_status s;

    if (setting == NULL)
        return AWA_OK;
    snprintf(sql, sizeof sql, "ALTER SYSTEM SET %s", setting);
    s = awa_connect(cluster_dsn(c), &conn, err);
    if (s == AWA_OK)
        s = awa__sql_exec(conn, "setting", sql, err);
    if (s == AWA_OK)
        s = cluster_stop(c, &changed, err);
    if (s == AWA_OK)
        s = cluster_start(c, &changed, err);
    return s;
}

awa_status
test_cluster_start(const char **ret_dsn, awa_error *err)
{
    char dir[64];
    bool started;
    awa_status s;

    sweep();
    snprintf(dir, sizeof dir, "%s%d", prefix, getpid());
    s = cluster_new(dir, true, &running, err);
    if (s != AWA_OK)
        return s;
    if (atexit(stop_at_exit) != 0)
        return awa__fail(err, AWA_ESYS, "test cluster: atexit failed");
    s = cluster_start(running, &started, err);
    if (s == AWA_OK)
        s = apply_setting(running, err);
    if (s != AWA_OK)
        cluster_print_log(running, stderr);
    else
        *ret_dsn = cluster_dsn(running);
    return s;
}
