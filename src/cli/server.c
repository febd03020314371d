/* SPDX-License-Identifier: MIT */
/* See server.h. */
#include "cli/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/binaries.h"
#include "cli/spawn.h"

enum {
    START_MS = 120 * 1000, /* the server may have to recover from a crash */
    STOP_MS = 60 * 1000,
    PING_MS = 20,
};

static awa_status
no_memory(awa_error *err)
{
    return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
}

char *
server_dsn(const struct server *server, const char *database)
{
    char *dsn;

    if (asprintf(&dsn, "host=%s port=" SERVER_PORT " user=" SERVER_USER " dbname=%s",
                 server->folder->path, database) < 0)
        return NULL;
    return dsn;
}

/* ---- Files ------------------------------------------------------------------------------- */

/* Reads the first number in a file of the data directory; 0: none. */
static long
read_number(const struct server *server, const char *name)
{
    AUTO(free) char *path = NULL;
    AUTO(file) FILE *file = NULL;
    long number = 0;

    if (asprintf(&path, "%s/%s/%s", server->folder->path, SERVER_DATA, name) < 0)
        path = NULL;
    if (path != NULL)
        file = fopen(path, "re");
    return file != NULL && fscanf(file, "%9ld", &number) == 1 ? number : 0;
}

int
server_major(const struct server *server)
{
    return (int)read_number(server, "PG_VERSION");
}

bool
server_is_initialised(const struct server *server)
{
    return server_major(server) != 0;
}

/*
 * The number in postmaster.pid may belong to another process by now. So it must be one whose
 * working directory is the data directory.
 */
pid_t
server_pid(const struct server *server)
{
    AUTO(free) char *ours = folder_join(server->folder, SERVER_DATA);
    pid_t pid = (pid_t)read_number(server, "postmaster.pid");
    char cwd[40];
    struct stat there, here;

    snprintf(cwd, sizeof cwd, "/proc/%d/cwd", pid);
    if (pid <= 0 || ours == NULL || stat(ours, &here) != 0 || stat(cwd, &there) != 0)
        return 0;
    return here.st_dev == there.st_dev && here.st_ino == there.st_ino ? pid : 0;
}

/* ---- The process ------------------------------------------------------------------------- */

static awa_status
launch(const struct server *server, pid_t *ret_pid, awa_error *err)
{
    AUTO(free) char *program = NULL;
    AUTO(free) char *directory = folder_join(server->folder, SERVER_DATA);
    AUTO(fd) int log = folder_open(server->folder, SERVER_LOG, O_WRONLY | O_APPEND);
    awa_status s = pg_program("postgres", server_major(server), &program, err);

    if (s != AWA_OK)
        return s;
    if (directory == NULL)
        return no_memory(err);
    if (log < 0)
        return awa__fail(err, AWA_ESYS, "dev: %s/%s: %m", server->folder->path, SERVER_LOG);

    /* The settings of the command line cannot be changed in postgresql.conf. */
    const char *const argv[] = { program,
                                 "-D",
                                 directory,
                                 "-h",
                                 "",
                                 "-k",
                                 server->folder->path,
                                 "-p",
                                 SERVER_PORT,
                                 "-c",
                                 "unix_socket_permissions=0700",
                                 NULL };
    const struct spawn what = { .argv = argv,
                                .owner = server->folder->owner,
                                .output = log,
                                .keep = -1,
                                .tied = server->throwaway };

    return spawn_start(&what, ret_pid, err);
}

/* Whether the server answers. The timeout is for one that accepts, but never answers. */
static bool
answers(const char *dsn)
{
    const char *const keywords[] = { "dbname", "connect_timeout", NULL };
    const char *const values[] = { dsn, "2", NULL };

    return PQpingParams(keywords, values, true) == PQPING_OK;
}

/* Waits until the server answers. pid is our child, or a server that was there before. */
static awa_status
await(const struct server *server, pid_t pid, awa_error *err)
{
    AUTO(free) char *dsn = server_dsn(server, "postgres");
    int64_t deadline = now_ms() + START_MS;

    if (dsn == NULL)
        return no_memory(err);
    while (!answers(dsn)) {
        if (now_ms() > deadline)
            return awa__fail(err, AWA_EBUSY, "dev: the server still starts after %d s",
                             START_MS / 1000);
        if (!process_wait(pid, PING_MS))
            continue;
        (void)waitpid(pid, NULL, WNOHANG); /* fails if it is no child of ours */
        pid = server_pid(server);          /* another awa, killed since, may have started one */
        if (pid == 0)
            return awa__fail(err, AWA_ESYS, "dev: the server did not start");
    }
    return AWA_OK;
}

/*
 * Deletes postmaster.pid if its number belongs to another program of the same user, as it may after
 * a crash of the machine. Postgres would take that program for a server, and refuse to start.
 */
static awa_status
remove_stale_pid(const struct server *server, awa_error *err)
{
    AUTO(free) char *path = folder_join(server->folder, SERVER_DATA "/postmaster.pid");
    pid_t pid = (pid_t)read_number(server, "postmaster.pid");

    if (path == NULL)
        return no_memory(err);
    if (pid > 0 && kill(pid, 0) == 0 && unlink(path) != 0)
        return awa__fail(err, AWA_ESYS, "dev: %s: %m", path);
    return AWA_OK;
}

awa_status
server_start(const struct server *server, awa_error *err)
{
    pid_t pid = server_pid(server);
    awa_status s = AWA_OK;

    if (pid == 0)
        s = remove_stale_pid(server, err);
    if (s == AWA_OK && pid == 0)
        s = launch(server, &pid, err);
    return s == AWA_OK ? await(server, pid, err) : s;
}

awa_status
server_stop(const struct server *server, awa_error *err)
{
    pid_t pid = server_pid(server);

    if (pid == 0)
        return AWA_OK;
    if (kill(pid, SIGINT) != 0 && errno != ESRCH)
        return awa__fail(err, AWA_ESYS, "dev: cannot stop process %d: %m", pid);
    if (!process_wait(pid, STOP_MS))
        return awa__fail(err, AWA_EBUSY, "dev: process %d still shuts down after %d s", pid,
                         STOP_MS / 1000);
    (void)waitpid(pid, NULL, WNOHANG); /* fails if it is no child of ours */
    return AWA_OK;
}
