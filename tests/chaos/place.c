/* SPDX-License-Identifier: MIT */
/* See place.h. */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/binaries.h"
#include "cli/disk.h"
#include "cli/spawn.h"
#include "process.h"

enum { START_TRIES = 100, CHILDREN_MAX = 400 };

/*
 * full_page_writes is on because a killed process may leave half a page behind. wal_writer_delay
 * leaves claims, which commit asynchronously, unflushed for longer: a crash forgets some.
 */
static const char *const settings[] = {
    "synchronous_commit = on",         "full_page_writes = on",           "max_connections = 120",
    "wal_writer_delay = '10s'",        "shared_buffers = '128MB'",        "max_wal_size = '64MB'",
    "min_wal_size = '32MB'",           "log_line_prefix = '%m [%p] %u '", "log_checkpoints = off",
    "log_min_error_statement = error",
};

#define DISK_SIZE "384m"

/*
 * What the run keeps that the engine forgets: outputs of jobs, which go with their slot, and what
 * was taken from workers that the engine deletes once they have been dead for an hour, by a clock
 * that may be set.
 */
static const char keepsakes[] =
    "CREATE TABLE outputs (key bigint);"
    "CREATE TABLE old_workers (name text, rescued bigint);"
    "CREATE FUNCTION keep_output() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$"
    " BEGIN INSERT INTO public.outputs VALUES ((NEW.output ->> 'k')::bigint); RETURN NULL; END $$;"
    "CREATE FUNCTION keep_worker() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$"
    " BEGIN INSERT INTO public.old_workers VALUES (OLD.name, OLD.rescued); RETURN NULL; END $$;"
    "CREATE TRIGGER keep AFTER INSERT ON awa.done_entries FOR EACH ROW"
    " WHEN (NEW.output IS NOT NULL) EXECUTE FUNCTION keep_output();"
    "CREATE TRIGGER keep AFTER DELETE ON awa.workers FOR EACH ROW EXECUTE FUNCTION keep_worker();"
    "CREATE VIEW taken AS SELECT w.name, sum(w.rescued)::bigint AS jobs"
    " FROM (SELECT name, rescued FROM awa.workers UNION ALL TABLE old_workers) AS w"
    " WHERE w.name ~ '^c[0-9]+$' GROUP BY w.name";

static const char tables[] =
    "CREATE ROLE chaos_producer LOGIN; CREATE ROLE chaos_worker LOGIN;"
    "CREATE ROLE chaos_operator LOGIN; CREATE ROLE chaos_zombie LOGIN;"
    "GRANT awa_producer, awa_bulk_producer TO chaos_producer;"
    "GRANT awa_worker TO chaos_worker;"
    "GRANT awa_operator, awa_viewer TO chaos_operator;"
    "GRANT awa_worker, awa_viewer TO chaos_zombie;"
    "CREATE TABLE effects (key bigint, claim_id bigint, position bigint, worker bigint);"
    "CREATE TABLE business (key bigint PRIMARY KEY);"
    "GRANT INSERT ON effects TO chaos_worker, chaos_zombie;"
    "GRANT INSERT, SELECT ON business TO chaos_producer;"
    "UPDATE awa.settings SET slot_bytes = 512 * 1024, slot_age = '1 s',"
    "       completed_retention = '1 s', failed_retention = '6 s';"
    "SELECT awa.set_queue('bulk', 2), awa.set_queue('letters', p_dlq_enabled => true)";

static awa_status
administer(const struct place *p, const char *what, const char *sql, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = awa_connect(cluster_dsn(p->cluster), &conn, err);

    if (s == AWA_OK)
        s = awa__exec(conn, "quiet", "SET client_min_messages = warning", err);
    return s == AWA_OK ? awa__exec(conn, what, sql, err) : s;
}

/* ---- The server's clock ------------------------------------------------------------------ */

/* The library lies beside this executable; the server may not be allowed to look there. */
static bool
copy_library(const char *to)
{
    char from[300];
    ssize_t n = readlink("/proc/self/exe", from, sizeof from - 1);

    if (n < 0)
        return false;
    from[n] = '\0';
    snprintf(strrchr(from, '/'), sizeof from - (size_t)(strrchr(from, '/') - from),
             "/libserver_clock.so");
    return process_run((const char *const[]){ "/bin/cp", from, to, NULL });
}

/* A `postgres` that preloads the library, among links to the other programs of the server. */
static bool
write_programs(const struct place *p, const char *library, const char *postgres)
{
    char path[160], all[800];
    int folder = (int)(strrchr(postgres, '/') - postgres);

    snprintf(path, sizeof path, "%s/bin", p->dir);
    snprintf(all, sizeof all, "ln -s %.*s/* %s && rm %s/postgres", folder, postgres, path, path);
    if (mkdir(path, 0755) != 0 || !process_run((const char *const[]){ "/bin/sh", "-c", all, NULL }))
        return false;
    snprintf(path, sizeof path, "%s/bin/postgres", p->dir);
    AUTO(file) FILE *file = fopen(path, "we");
    if (file == NULL || fchmod(fileno(file), 0755) != 0)
        return false;
    fprintf(file, "#!/bin/sh\nexec /usr/bin/env LD_PRELOAD=%s CHAOS_CLOCK=%s/clock %s \"$@\"\n",
            library, p->dir, postgres);
    snprintf(path, sizeof path, "%s/bin", p->dir);
    return setenv("AWA_PG_BINDIR", path, true) == 0;
}

static void
make_clock(struct place *p)
{
    char path[140], library[140];
    AUTO(free) char *postgres = NULL;
    awa_error err;

    snprintf(path, sizeof path, "%s/clock", p->dir);
    snprintf(library, sizeof library, "%s/libserver_clock.so", p->dir);
    if (pg_program("postgres", 0, &postgres, &err) == AWA_OK && copy_library(library) &&
        write_programs(p, library, postgres))
        p->clock = fake_clock_map(path, true);
}

/* Whether the server's clock follows: a step that nothing came of would prove nothing. */
static bool
clock_follows(struct place *p)
{
    AUTO(pgconn) PGconn *conn = PQconnectdb(cluster_dsn(p->cluster));
    AUTO(pgresult) PGresult *res = NULL;
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)time(NULL));
    atomic_store(p->clock, 100000);
    res = PQexecParams(conn, "SELECT extract(epoch FROM clock_timestamp()) - $1::bigint > 90000", 1,
                       NULL, (const char *[]){ text }, NULL, NULL, 0);
    atomic_store(p->clock, 0);
    return PQresultStatus(res) == PGRES_TUPLES_OK && PQgetvalue(res, 0, 0)[0] == 't';
}

bool
place_step_clock(const struct place *p, int seconds)
{
    if (p->clock == NULL)
        return false;
    atomic_fetch_add(p->clock, seconds);
    return true;
}

/* ---- The disk of the WAL ----------------------------------------------------------------- */

/*
 * The WAL moves to a small disk of its own, if we may mount one; in a namespace of ours, so that it
 * goes when we go, however that is. The server does not run.
 */
static bool
move_wal(struct place *p, const struct stat *owner)
{
    char options[80], old[200], new[200];

    snprintf(p->disk, sizeof p->disk, "%s/disk", p->dir);
    snprintf(options, sizeof options, "size=" DISK_SIZE ",mode=0700,uid=%u,gid=%u", owner->st_uid,
             owner->st_gid);
    snprintf(old, sizeof old, "%s/" SERVER_DATA "/pg_wal", p->server);
    snprintf(new, sizeof new, "%s/pg_wal", p->disk);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mkdir(p->disk, 0700) != 0 || mount("tmpfs", p->disk, "tmpfs", 0, options) != 0) {
        p->disk[0] = '\0';
        return true;
    }
    return process_run((const char *const[]){ "/bin/cp", "-a", old, new, NULL }) &&
           disk_remove(old, NULL) == AWA_OK && symlink(new, old) == 0;
}

void
place_fill_disk(const struct place *p)
{
    static const char block[65536];
    char path[200];
    AUTO(fd) int fd = -1;

    snprintf(path, sizeof path, "%s/filler", p->disk);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (size_t n = sizeof block; fd >= 0 && n >= 512;)
        if (write(fd, block, n) != (ssize_t)n)
            n /= 2;
}

void
place_empty_disk(const struct place *p)
{
    char path[200];

    snprintf(path, sizeof path, "%s/filler", p->disk);
    (void)unlink(path);
}

/* ---- The server -------------------------------------------------------------------------- */

pid_t
place_postmaster(const struct place *p)
{
    const struct server server = { .folder = &p->folder, .throwaway = true };

    return p->cluster != NULL ? server_pid(&server) : 0;
}

/*
 * A postmaster that was killed must be gone before the next is started: otherwise the start would
 * take its number for somebody else's, and delete the file that keeps two servers apart.
 */
void
place_end_server(const struct place *p, int signal)
{
    pid_t pid = place_postmaster(p);

    if (pid == 0)
        return;
    (void)kill(pid, signal);
    if (process_wait(pid, 60000))
        (void)waitpid(pid, NULL, WNOHANG);
}

/* Its processes: all are children of the postmaster. */
static size_t
list_children(pid_t postmaster, pid_t *pids)
{
    char path[60];
    size_t n = 0;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", postmaster, postmaster);
    AUTO(file) FILE *file = fopen(path, "re");
    while (file != NULL && n < CHILDREN_MAX && fscanf(file, "%d", &pids[n]) == 1)
        n++;
    return n;
}

static void
signal_children(pid_t postmaster, int signal)
{
    pid_t pids[CHILDREN_MAX];
    size_t n = list_children(postmaster, pids);

    for (size_t i = 0; i < n; i++)
        (void)kill(pids[i], signal);
}

/* Its children twice: one may just have been born when the postmaster stopped. */
bool
place_stop_server(const struct place *p)
{
    pid_t pid = place_postmaster(p);

    if (pid == 0 || kill(pid, SIGSTOP) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        signal_children(pid, SIGSTOP);
        (void)usleep(10000);
    }
    return true;
}

void
place_continue_server(const struct place *p)
{
    pid_t pid = place_postmaster(p);

    if (pid == 0)
        return;
    signal_children(pid, SIGCONT);
    (void)kill(pid, SIGCONT);
}

/* While backends of a killed postmaster live, a new one gives up. */
awa_status
place_start(struct place *p, awa_error *err)
{
    awa_status s = AWA_EBUSY;
    bool started;

    for (int i = 0; i < START_TRIES && s != AWA_OK; i++) {
        if (i > 0)
            (void)usleep(100000);
        s = cluster_start(p->cluster, &started, err);
    }
    return s;
}

static awa_status
configure(struct place *p, awa_error *err)
{
    awa_status s = AWA_OK;
    struct stat owner;
    bool changed;

    for (size_t i = 0; i < sizeof settings / sizeof settings[0] && s == AWA_OK; i++) {
        char sql[200];

        snprintf(sql, sizeof sql, "ALTER SYSTEM SET %s", settings[i]);
        s = administer(p, "setting", sql, err);
    }
    if (s == AWA_OK)
        s = cluster_stop(p->cluster, &changed, err);
    if (s == AWA_OK && (stat(p->server, &owner) != 0 || !move_wal(p, &owner)))
        s = awa__fail(err, AWA_ESYS, "chaos: cannot move the WAL: %m");
    return s == AWA_OK ? place_start(p, err) : s;
}

awa_status
place_make(struct place *p, bool wants_clock, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    char events[120];
    bool started;
    awa_status s;

    snprintf(p->dir, sizeof p->dir, "/tmp/awa-chaos-%d", (int)getpid());
    snprintf(events, sizeof events, "%s/events", p->dir);
    snprintf(p->server, sizeof p->server, "%s/server", p->dir);
    if (mkdir(p->dir, 0755) != 0 || mkdir(events, 0700) != 0)
        return awa__fail(err, AWA_ESYS, "%s: %m", p->dir);
    if (wants_clock)
        make_clock(p);
    s = cluster_new(p->server, true, &p->cluster, err);
    if (s == AWA_OK)
        s = folder_init(&p->folder, p->server, err);
    if (s == AWA_OK)
        s = cluster_start(p->cluster, &started, err);
    if (s == AWA_OK)
        s = configure(p, err);
    if (s == AWA_OK && p->clock != NULL && !clock_follows(p))
        p->clock = NULL;
    if (s == AWA_OK)
        s = awa_connect(cluster_dsn(p->cluster), &conn, err);
    if (s == AWA_OK)
        s = awa_migrate(conn, err);
    if (s == AWA_OK)
        s = administer(p, "tables", tables, err);
    return s == AWA_OK ? administer(p, "keepsakes", keepsakes, err) : s;
}

void
place_dsn(const struct place *p, const char *user, int link, char *to, size_t size)
{
    if (user == NULL)
        snprintf(to, size, "%s connect_timeout=5", cluster_dsn(p->cluster));
    else if (link < 0)
        snprintf(to, size, "host=%s port=5432 dbname=awa user=%s connect_timeout=5", p->server,
                 user);
    else
        snprintf(to, size, "host=%s/link%d port=5432 dbname=awa user=%s", p->dir, link, user);
}

void
place_remove(struct place *p)
{
    awa_error err;

    if (p->cluster == NULL)
        return;
    place_end_server(p, SIGINT);
    if (p->disk[0] != '\0')
        (void)umount2(p->disk, MNT_DETACH);
    if (cluster_remove(p->cluster, &err) != AWA_OK)
        fprintf(stderr, "chaos: %s\n", err.message);
    p->cluster = cluster_free(p->cluster);
    folder_done(&p->folder);
}

void
place_forget(const struct place *p)
{
    awa_error err;

    if (disk_remove(p->dir, &err) != AWA_OK)
        fprintf(stderr, "chaos: %s\n", err.message);
}
