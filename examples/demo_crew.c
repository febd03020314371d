/* SPDX-License-Identifier: MIT */
/* Starts, watches and ends the worker processes. The parent reads their output from pipes. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

enum { STOP_MS = 15000 };

void
worker_name(int worker, char name[32])
{
    snprintf(name, 32, "awa-demo-%d", worker + 1);
}

void
crew_init(struct crew *c)
{
    for (int i = 0; i < WORKERS; i++)
        c->members[i] = (struct member){ .log_fd = -1 };
}

/* ---- Start ------------------------------------------------------------------------------- */

/* In the child: becomes `demo --worker`, so that ps tells it from the parent. */
static void
become_worker(int number, int log_fd, int board_fd, pid_t parent)
{
    char name[32], number_text[12], fd_text[12], parent_text[12];
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)dup2(log_fd, STDOUT_FILENO);
    (void)dup2(log_fd, STDERR_FILENO);
    worker_name(number, name);
    (void)setenv("PGAPPNAME", name, 1); /* base_held() finds its sessions by this name */
    snprintf(number_text, sizeof number_text, "%d", number);
    snprintf(fd_text, sizeof fd_text, "%d", board_fd);
    snprintf(parent_text, sizeof parent_text, "%d", (int)parent);
    execl("/proc/self/exe", "demo", "--worker", number_text, fd_text, parent_text, (char *)NULL);
    (void)complain("cannot start: %m");
    _exit(EXIT_FAILURE);
}

static bool
start_member(struct member *m, int number, int board_fd)
{
    pid_t parent = getpid();
    int log[2];

    if (pipe2(log, O_CLOEXEC | O_NONBLOCK) != 0)
        return complain("worker %d: %m", number + 1);
    (void)fcntl(log[1], F_SETFL, 0); /* the writer may block, the reader must not */
    m->pid = fork();
    if (m->pid == 0)
        become_worker(number, log[1], board_fd, parent);
    (void)close(log[1]);
    m->log_fd = log[0];
    if (m->pid < 0)
        return complain("worker %d: %m", number + 1);
    m->state = MEMBER_ALIVE;
    return true;
}

bool
crew_start(struct crew *c, const char *conninfo, int board_fd)
{
    /* Not an argument, which everybody can read: it may have a password. */
    if (setenv(WORKER_CONNINFO, conninfo, 1) != 0)
        return complain("workers: %m");
    for (int i = 0; i < WORKERS; i++)
        if (!start_member(&c->members[i], i, board_fd))
            return false;
    return true;
}

/* ---- Watch ------------------------------------------------------------------------------- */

void
crew_look(struct crew *c)
{
    for (int i = 0; i < WORKERS; i++) {
        struct member *m = &c->members[i];

        if (m->state == MEMBER_ALIVE && waitpid(m->pid, NULL, WNOHANG) == m->pid)
            m->state = MEMBER_LOST;
    }
}

/* Calls hear with each complete line. */
static void
split(struct member *m, int number, crew_hear *hear, void *arg)
{
    char *line = m->line, *end;

    m->line[m->len] = '\0';
    while ((end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        hear(arg, number, line);
        line = end + 1;
    }
    m->len = strlen(line);
    if (line == m->line && m->len == sizeof m->line - 1) { /* a long line comes in pieces */
        hear(arg, number, line);
        m->len = 0;
    }
    memmove(m->line, line, m->len);
}

void
crew_listen(struct crew *c, crew_hear *hear, void *arg)
{
    for (int i = 0; i < WORKERS; i++) {
        struct member *m = &c->members[i];
        ssize_t n;

        while (m->log_fd >= 0 &&
               (n = read(m->log_fd, m->line + m->len, sizeof m->line - 1 - m->len)) > 0) {
            m->len += (size_t)n;
            split(m, i, hear, arg);
        }
    }
}

/* ---- End --------------------------------------------------------------------------------- */

void
crew_kill_one(struct crew *c, int worker)
{
    struct member *m = &c->members[worker];

    (void)kill(m->pid, SIGKILL);
    (void)waitpid(m->pid, NULL, 0);
    m->state = MEMBER_KILLED;
}

/* Waits for the end of a worker. Returns the status of waitpid(); -1: it did not end in time. */
static int
await_end(struct member *m, int64_t until)
{
    int status;

    while (waitpid(m->pid, &status, WNOHANG) != m->pid) {
        if (now_ms() >= until)
            return -1;
        (void)poll(NULL, 0, 5);
    }
    m->state = MEMBER_ENDED;
    return status;
}

bool
crew_stop(struct crew *c)
{
    int64_t until = now_ms() + STOP_MS;
    bool ok = true;

    for (int i = 0; i < WORKERS; i++)
        if (c->members[i].state == MEMBER_ALIVE)
            (void)kill(c->members[i].pid, SIGTERM);
    for (int i = 0; i < WORKERS; i++) {
        int status;

        if (c->members[i].state != MEMBER_ALIVE)
            continue;
        status = await_end(&c->members[i], until);
        if (status != 0)
            ok = complain("worker %d: %s", i + 1,
                          status == -1 ? "did not stop in time" : "did not end well");
    }
    return ok;
}

void
crew_kill(struct crew *c)
{
    for (int i = 0; i < WORKERS; i++) {
        struct member *m = &c->members[i];

        if (m->state == MEMBER_ALIVE) {
            (void)kill(m->pid, SIGKILL);
            (void)waitpid(m->pid, NULL, 0);
            m->state = MEMBER_ENDED;
        }
        if (m->log_fd >= 0)
            (void)close(m->log_fd);
        m->log_fd = -1;
    }
}
