/* SPDX-License-Identifier: MIT */
/* The memory that the parent and its workers share. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo.h"

static size_t
size_of(size_t capacity)
{
    return sizeof(struct board) + capacity * sizeof(struct note);
}

static struct board *
map(int fd, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED) {
        (void)complain("shared memory: %m");
        return NULL;
    }
    return memory;
}

struct board *
board_new(size_t capacity, int *ret_fd)
{
    int fd = memfd_create("awa-demo", 0); /* the workers inherit it, so no MFD_CLOEXEC */
    struct board *b = NULL;

    if (fd >= 0 && ftruncate(fd, (off_t)size_of(capacity)) == 0)
        b = map(fd, size_of(capacity));
    else
        (void)complain("shared memory: %m");
    if (b == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    b->capacity = capacity;
    atomic_init(&b->victim, -1);
    *ret_fd = fd;
    return b;
}

struct board *
board_map(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        (void)complain("shared memory: %m");
        return NULL;
    }
    return map(fd, (size_t)st.st_size);
}

void
board_free(struct board *b)
{
    if (b != NULL)
        (void)munmap(b, size_of(b->capacity));
}

void
board_count(const struct board *b, size_t jobs, int64_t ret_counts[NOTE_STATES])
{
    for (int state = 0; state < NOTE_STATES; state++)
        ret_counts[state] = 0;
    for (size_t i = 0; i < jobs; i++)
        ret_counts[atomic_load(&b->notes[i].state)]++;
}

struct note *
board_note(struct board *b, int64_t id)
{
    return id >= 1 && (size_t)id <= b->capacity ? &b->notes[id - 1] : NULL;
}
