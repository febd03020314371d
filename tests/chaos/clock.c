/* SPDX-License-Identifier: MIT */
/* See clock.h. */
#include "clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static atomic_int own;
static atomic_int *offset_s = &own; /* in seconds */

__attribute__((visibility("default"))) int
clock_gettime(clockid_t clock, struct timespec *ret)
{
    long result = syscall(SYS_clock_gettime, clock, ret);

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret->tv_sec += atomic_load(offset_s);
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
    atomic_store(&own, info->si_value.sival_int);
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

atomic_int *
fake_clock_map(const char *path, bool make)
{
    int fd = open(path, make ? O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0644);
    void *memory = MAP_FAILED;

    if (fd >= 0 && (!make || ftruncate(fd, sizeof(atomic_int)) == 0))
        memory = mmap(NULL, sizeof(atomic_int), make ? PROT_READ | PROT_WRITE : PROT_READ,
                      MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    return memory != MAP_FAILED ? memory : NULL;
}

void
fake_clock_follow(atomic_int *offset)
{
    offset_s = offset;
}
