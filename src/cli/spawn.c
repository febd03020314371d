/* SPDX-License-Identifier: MIT */
/* See spawn.h. */
#include "cli/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In the child: sets descriptors, session and signals as a server expects them. */
static bool
detach(const struct spawn *what)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    sigemptyset(&none);
    return null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(what->output, STDOUT_FILENO) >= 0 &&
           dup2(what->output, STDERR_FILENO) >= 0 && setsid() >= 0 &&
           sigprocmask(SIG_SETMASK, &none, NULL) == 0 &&
           (what->keep < 0 || fcntl(what->keep, F_SETFD, 0) == 0);
}

/* In the child. If the parent died before prctl(), the child has another parent by now. */
static bool
tie(const struct spawn *what, pid_t parent)
{
    if (!what->tied)
        return true;
    return prctl(PR_SET_PDEATHSIG, SIGINT) == 0 && getppid() == parent;
}

static _Noreturn void
child(const struct spawn *what, pid_t parent)
{
    /* LC_ALL sets the language of messages. PG* variables of the caller must not reach Postgres. */
    char *const env[] = { "PATH=/usr/bin:/bin", "LC_ALL=C", NULL };

    /* tie() comes after owner_become(): a change of the user undoes PR_SET_PDEATHSIG. */
    if (detach(what) && owner_become(what->owner) && chdir("/") == 0 && tie(what, parent))
        execve(what->argv[0], (char *const *)(uintptr_t)what->argv, env);
    dprintf(what->output, "awa: cannot run %s: %m\n", what->argv[0]);
    _exit(127);
}

awa_status
spawn_start(const struct spawn *what, pid_t *ret_pid, awa_error *err)
{
    pid_t parent = getpid();
    pid_t pid;

    fflush(NULL); /* else the child might write buffered output once more */
    pid = fork();
    if (pid < 0)
        return awa__fail(err, AWA_ESYS, "%s: cannot fork: %m", what->argv[0]);
    if (pid == 0)
        child(what, parent);
    *ret_pid = pid;
    return AWA_OK;
}

bool
process_wait(pid_t pid, int timeout_ms)
{
    AUTO(fd) int fd = pidfd_open(pid, 0);
    struct pollfd ended = { .fd = fd, .events = POLLIN };
    int64_t deadline = now_ms() + timeout_ms;
    int n;

    if (fd < 0)
        return errno == ESRCH;
    do
        n = poll(&ended, 1, (int)(deadline > now_ms() ? deadline - now_ms() : 0));
    while (n < 0 && errno == EINTR);
    return n == 1;
}

bool
spawn_wait(pid_t pid, int timeout_ms, int *ret_status)
{
    return process_wait(pid, timeout_ms) && waitpid(pid, ret_status, WNOHANG) == pid;
}
