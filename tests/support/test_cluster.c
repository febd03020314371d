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
#include <sys/statvfs.h>

#include "cli/cluster.h"

static const char memory[] = "/dev/shm", disk[] = "/tmp", name[] = "awa-test-";

static const uint64_t room = 4ULL << 30; /* ten times what all tests together need */

static struct cluster *running;

const char *
test_cluster_place(void)
{
    struct statvfs fs;

    if (access(memory, W_OK | X_OK) == 0 && statvfs(memory, &fs) == 0 &&
        (uint64_t)fs.f_bavail * fs.f_frsize >= room)
        return memory;
    return disk;
}

void
test_cluster_dir(const char *suffix, char ret[static TEST_CLUSTER_DIR_MAX])
{
    snprintf(ret, TEST_CLUSTER_DIR_MAX, "%s/%s%d%s", test_cluster_place(), name, getpid(), suffix);
}

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
sweep(const char *place)
{
    char pattern[TEST_CLUSTER_DIR_MAX];
    glob_t found = { 0 };
    int len = snprintf(pattern, sizeof pattern, "%s/%s*", place, name);

    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            const char *dir = found.gl_pathv[i];
            pid_t pid = (pid_t)strtol(dir + len - 1, NULL, 10);

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
 * Producers may prepare their transactions; and name=value in the variable becomes a setting of the
 * server, which has just been made. It is started again, for after a mere reload the next session
 * may still be without it.
 */
static awa_status
apply_settings(struct cluster *c, awa_error *err)
{
    const char *setting = getenv(TEST_SETTING_VARIABLE);
    AUTO(pgconn) PGconn *conn = NULL;
    char sql[200];
    bool changed;
    awa_status s;

    s = awa_connect(cluster_dsn(c), &conn, err);
    if (s == AWA_OK)
        s = awa__exec(conn, "setting", "ALTER SYSTEM SET max_prepared_transactions = 20", err);
    if (s == AWA_OK && setting != NULL) {
        snprintf(sql, sizeof sql, "ALTER SYSTEM SET %s", setting);
        s = awa__exec(conn, "setting", sql, err);
    }
    if (s == AWA_OK)
        s = cluster_stop(c, &changed, err);
    if (s == AWA_OK)
        s = cluster_start(c, &changed, err);
    return s;
}

awa_status
test_cluster_start(const char **ret_dsn, awa_error *err)
{
    char dir[TEST_CLUSTER_DIR_MAX];
    bool started;
    awa_status s;

    sweep(memory);
    sweep(disk);
    test_cluster_dir("", dir);
    s = cluster_new(dir, true, &running, err);
    if (s != AWA_OK)
        return s;
    if (atexit(stop_at_exit) != 0)
        return awa__fail(err, AWA_ESYS, "test cluster: atexit failed");
    s = cluster_start(running, &started, err);
    if (s == AWA_OK)
        s = apply_settings(running, err);
    if (s != AWA_OK)
        cluster_print_log(running, stderr);
    else
        *ret_dsn = cluster_dsn(running);
    return s;
}
