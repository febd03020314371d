/* SPDX-License-Identifier: MIT */
/* See record.h. */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>

static int file = -1;
static uint32_t self;
static atomic_uint_least64_t ids;

uint64_t
mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
wall_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

awa_status
record_open(const char *dir, uint32_t proc, awa_error *err)
{
    char path[300];

    snprintf(path, sizeof path, "%s/events/%06u", dir, proc);
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    self = proc;
    return file >= 0 ? AWA_OK : awa__fail(err, AWA_ESYS, "%s: %m", path);
}

void
record_write(struct record r)
{
    ssize_t n;

    r.mono_ns = mono_ns();
    if (r.wall_us == 0)
        r.wall_us = wall_us();
    r.proc = self;
    r.thread = (uint32_t)syscall(SYS_gettid);
    do
        n = write(file, &r, sizeof r);
    while (n < 0 && errno == EINTR);
    if (n != sizeof r) {
        fprintf(stderr, "chaos: cannot write the history: %m\n");
        _exit(3);
    }
}

uint64_t
record_id(void)
{
    return atomic_fetch_add(&ids, 1) + 1;
}

struct record
record_begin(struct record r)
{
    r.id = record_id();
    r.phase = PHASE_INVOKE;
    record_write(r);
    return r;
}

void
record_end(struct record r, enum phase_of phase)
{
    r.phase = (uint8_t)phase;
    r.wall_us = 0;
    record_write(r);
}
