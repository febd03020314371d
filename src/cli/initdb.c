/* SPDX-License-Identifier: MIT */
/* Makes the data directory of a server: under another name, and renamed when it is complete. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/wait.h>

#include "cli/binaries.h"
#include "cli/disk.h"
#include "cli/server.h"
#include "cli/spawn.h"

#define UNFINISHED SERVER_DATA ".new"

enum { INIT_MS = 120 * 1000 };

/* A quarter of the memory, 16 MB to 1 GB. */
static int
shared_buffers_mb(void)
{
    int64_t quarter = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 4 / (1 << 20);

    if (quarter < 16)
        return 16;
    return quarter > 1024 ? 1024 : (int)quarter;
}

/*
 * Adds settings to postgresql.conf, once: the user may change them later. Only a throwaway server
 * gives up durability.
 */
static int
print_settings(FILE *file, bool throwaway)
{
    if (throwaway)
        return fputs("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
                     "shared_buffers = 64MB\nmax_connections = 100\n"
                     "log_min_messages = error\n",
                     file);
    return fprintf(file,
                   "\n# Set by awa dev\n"
                   "shared_buffers = %dMB\nmax_wal_size = 4GB\nmax_connections = 200\n",
                   shared_buffers_mb());
}

static awa_status
write_settings(const struct server *server, awa_error *err)
{
    AUTO(free) char *path = folder_join(server->folder, UNFINISHED "/postgresql.conf");
    AUTO(file) FILE *file = path != NULL ? fopen(path, "ae") : NULL;

    if (file == NULL || print_settings(file, server->throwaway) < 0 || fflush(file) != 0 ||
        (!server->throwaway && fsync(fileno(file)) != 0))
        return awa__fail(err, AWA_ESYS, "dev: %s/" UNFINISHED "/postgresql.conf: %m",
                         server->folder->path);
    return AWA_OK;
}

/* C.UTF-8 sorts by code point and knows letters. A system may lack it; then C has to do. */
static const char *
locale_option(void)
{
    locale_t utf8 = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);

    if (utf8 == (locale_t)0)
        return "--locale=C";
    freelocale(utf8);
    return "--locale=C.UTF-8";
}

/* Kills a child that took too long, with its process group. */
static void
kill_child(pid_t pid)
{
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static awa_status
start_initdb(const struct server *server, const char *to, int lock, pid_t *ret_pid, awa_error *err)
{
    AUTO(free) char *program = NULL;
    AUTO(fd) int log = folder_open(server->folder, SERVER_LOG, O_WRONLY | O_APPEND);
    awa_status s = pg_program("initdb", 0, &program, err);

    if (s != AWA_OK)
        return s;
    if (log < 0)
        return awa__fail(err, AWA_ESYS, "dev: %s/%s: %m", server->folder->path, SERVER_LOG);

    /* Trust is safe, because no other user can reach the socket. */
    const char *const argv[] = { program,
                                 "-D",
                                 to,
                                 "--username=" SERVER_USER,
                                 "--auth=trust",
                                 "--encoding=UTF8",
                                 locale_option(),
                                 "--no-instructions",
                                 server->throwaway ? "--no-sync" : NULL,
                                 NULL };
    const struct spawn what = {
        .argv = argv, .owner = server->folder->owner, .output = log, .keep = lock, .tied = true
    };

    return spawn_start(&what, ret_pid, err);
}

static awa_status
run_initdb(const struct server *server, const char *to, int lock, awa_error *err)
{
    int status;
    pid_t pid;
    awa_status s = start_initdb(server, to, lock, &pid, err);

    if (s != AWA_OK)
        return s;
    if (!spawn_wait(pid, INIT_MS, &status)) {
        kill_child(pid);
        return awa__fail(err, AWA_ESYS, "dev: initdb took more than %d s", INIT_MS / 1000);
    }
    return status == 0 ? AWA_OK : awa__fail(err, AWA_ESYS, "dev: initdb failed");
}

awa_status
server_init(const struct server *server, int lock, awa_error *err)
{
    AUTO(free) char *temporary = folder_join(server->folder, UNFINISHED);
    AUTO(free) char *final = folder_join(server->folder, SERVER_DATA);
    awa_status s;

    if (temporary == NULL || final == NULL)
        return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
    s = disk_remove(temporary, err);
    if (s == AWA_OK)
        s = run_initdb(server, temporary, lock, err);
    if (s == AWA_OK)
        s = write_settings(server, err);
    if (s == AWA_OK && rename(temporary, final) != 0)
        s = awa__fail(err, AWA_ESYS, "dev: %s: %m", final);
    return s;
}
