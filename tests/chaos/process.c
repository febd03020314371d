/* SPDX-License-Identifier: MIT */
/* See process.h. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include "cli/spawn.h"

enum { RUN_MS = 120000 };

static volatile sig_atomic_t ends;

static void
note_end(int number)
{
    (void)number;
    ends = 1;
}

awa_status
board_map(const char *dir, bool make, struct board **ret_board, awa_error *err)
{
    char path[300];
    AUTO(fd) int fd = -1;
    void *memory;

    snprintf(path, sizeof path, "%s/board", dir);
    fd = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0 || (make && ftruncate(fd, sizeof(struct board)) != 0))
        return awa__fail(err, AWA_ESYS, "%s: %m", path);
    memory = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return awa__fail(err, AWA_ESYS, "%s: %m", path);
    *ret_board = memory;
    return AWA_OK;
}

awa_status
process_begin(struct process *p, awa_error *err)
{
    struct sigaction action = { .sa_handler = note_end };
    awa_status s;

    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN); /* of the terminal: the conductor says when to end */
    s = record_open(p->dir, p->proc, err);
    return s == AWA_OK ? board_map(p->dir, false, &p->board, err) : s;
}

bool
process_ends(void)
{
    return ends != 0;
}

void
sleep_ms(int ms)
{
    uint64_t until = mono_ns() + (uint64_t)ms * 1000000;

    while (!process_ends() && mono_ns() < until) {
        int left = (int)((until - mono_ns()) / 1000000) + 1;

        (void)poll(NULL, 0, left < 50 ? left : 50);
    }
}

PGconn *
process_session(const struct process *p, const char *setup)
{
    PGconn *conn = NULL;
    awa_error err;

    while (!process_ends()) {
        if (awa_connect(p->dsn, &conn, &err) == AWA_OK &&
            (setup == NULL || awa__exec(conn, "setup", setup, &err) == AWA_OK))
            return conn;
        PQfinish(TAKE(conn));
        sleep_ms(200);
    }
    return NULL;
}

PGresult *
query(PGconn *conn, const char *sql, int nparams, const char *const *params)
{
    PGresult *res = PQexecParams(conn, sql, nparams, NULL, params, NULL, NULL, 0);

    return res != NULL ? res : PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR); /* a broken session */
}

bool
succeeded(const PGresult *res)
{
    return PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;
}

enum phase_of
phase_of_failure(const PGconn *conn, const PGresult *res)
{
    const char *sqlstate = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

    if (sqlstate == NULL || PQstatus(conn) != CONNECTION_OK || strncmp(sqlstate, "57P", 3) == 0 ||
        strncmp(sqlstate, "08", 2) == 0)
        return PHASE_INFO;
    return PHASE_FAIL;
}

int64_t
number_at(const PGresult *res, int row, int column)
{
    return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

bool
process_run(const char *const *argv)
{
    const struct spawn what = {
        .argv = argv, .owner = owner_now(), .output = 2, .keep = -1, .tied = true
    };
    pid_t pid;
    int status;

    return spawn_start(&what, &pid, NULL) == AWA_OK && spawn_wait(pid, RUN_MS, &status) &&
           status == 0;
}

int
guest_length_ms(const struct process *p)
{
    return p->argc > 0 ? (int)strtol(p->argv[0], NULL, 10) : 1000;
}

unsigned
guest_value(const struct process *p)
{
    return p->argc > 1 ? (unsigned)strtoul(p->argv[1], NULL, 10) : 0;
}
