/* SPDX-License-Identifier: MIT */
/*
 * Ownership of memory and descriptors: each has one owner, and is released with the owner's scope.
 */
#ifndef AWA_BASE_OWN_H
#define AWA_BASE_OWN_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A variable that is released when it leaves scope. `unused`: a guard may have no other use. */
#define AUTO(type) __attribute__((cleanup(auto_##type), unused))
#define TAKE(p)                     \
    ({                              \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })

/* AUTO(free) char *text: for all that malloc() gives. */
static inline void
auto_free(void *p)
{
    free(*(void **)p);
}

static inline void
auto_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

/* AUTO(fd) int fd = -1 */
static inline void
auto_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

#endif
