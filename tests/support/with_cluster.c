/* SPDX-License-Identifier: MIT */
/*
 * with_cluster COMMAND ARG...: runs a command that finds a throw-away cluster in AWA_TEST_DSN, and
 * in AWA_TEST_PLACE where it may make others.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "test_cluster.h"

enum { PATIENCE_S = 10 }; /* for a command that was told to end */

static pid_t
start(char **argv, const sigset_t *mask)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    fprintf(stderr, "with_cluster: %s: %m\n", argv[0]);
    _exit(127);
}

/* Until the command has ended; a signal to us is one to it. Returns its exit code. */
static int
await(pid_t pid, const sigset_t *signals)
{
    int status;
    int sig;

    while (waitpid(pid, &status, WNOHANG) != pid) {
        if (sigwait(signals, &sig) != 0 || sig == SIGCHLD)
            continue;
        kill(pid, sig == SIGALRM ? SIGKILL : SIGTERM);
        alarm(PATIENCE_S);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* They are waited for, not handled; *ret_old is how the command is to have them. */
static void
block_signals(sigset_t *ret_signals, sigset_t *ret_old)
{
    static const int numbers[] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGALRM };

    sigemptyset(ret_signals);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(ret_signals, numbers[i]);
    sigprocmask(SIG_BLOCK, ret_signals, ret_old);
}

int
main(int argc, char **argv)
{
    sigset_t signals, old;
    const char *dsn;
    awa_error err;
    pid_t pid;

    if (argc < 2) {
        fprintf(stderr, "usage: with_cluster COMMAND ARG...\n");
        return 2;
    }
    block_signals(&signals, &old);
    if (test_cluster_start(&dsn, &err) != AWA_OK) {
        fprintf(stderr, "with_cluster: %s\n", err.message);
        return 1;
    }
    /* Whoever kills our parent means us too. Not earlier: a change of identity forgets it. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (setenv(TEST_DSN_VARIABLE, dsn, 1) != 0 ||
        setenv(TEST_PLACE_VARIABLE, test_cluster_place(), 1) != 0)
        return 1;
    pid = start(argv + 1, &old);
    return pid > 0 ? await(pid, &signals) : 1;
}
