/* SPDX-License-Identifier: MIT */
/* See clock.h. */
#include "clock.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static atomic_int offset_s;

__attribute__((visibility("default"))) int
clock_gettime(clockid_t clock, struct timespec *ret)
{
    long result = syscall(SYS_clock_gettime, clock, ret);

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret->tv_sec += atomic_load(&offset_s);
    return (int)result;
}

__attribute__((visibility("default"))) int
gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec t;
    int result = clock_gettime(CLOCK_REALTIME, &t);

    (void)zone;
    *ret = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
    return result;
}

__attribute__((visibility("default"))) time_t
time(time_t *ret)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (ret != NULL)
        *ret = t.tv_sec;
    return t.tv_sec;
}

static void
move(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    atomic_store(&offset_s, info->si_value.sival_int);
}

void
fake_clock_obey(void)
{
    struct sigaction action = { .sa_sigaction = move, .sa_flags = SA_SIGINFO | SA_RESTART };

    (void)sigaction(SIGUSR1, &action, NULL);
}

void
fake_clock_move(pid_t pid, int seconds)
{
    (void)sigqueue(pid, SIGUSR1, (union sigval){ .sival_int = seconds });
}
