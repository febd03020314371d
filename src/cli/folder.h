/* SPDX-License-Identifier: MIT */
/*
 * The directory of a private cluster. It belongs to the owner alone, has mode 0700, and a marker: a
 * directory without it is never deleted, and filled only if it is empty.
 */
#ifndef AWA_CLI_FOLDER_H
#define AWA_CLI_FOLDER_H

#include "cli/owner.h"

struct folder {
    char *path; /* absolute */
    struct owner owner;
};

/* Checks the path and finds the owner. Changes nothing on disk. */
awa_status folder_init(struct folder *f, const char *path, awa_error *err) AWA_CHECKED;
void folder_done(struct folder *f);

/* Makes the directory and its marker, or checks that it is ours. Not to be called as the owner. */
awa_status folder_prepare(const struct folder *f, awa_error *err) AWA_CHECKED;

/* Whether there is a directory with our marker. */
bool folder_is_ours(const struct folder *f);

/* Deletes the directory, the marker last, so a call that died halfway can be repeated. */
awa_status folder_remove(const struct folder *f, awa_error *err) AWA_CHECKED;

/* Opens a file in the directory, which is made if missing. Called as the owner. -1: see errno. */
int folder_open(const struct folder *f, const char *name, int flags);

/*
 * Takes the lock under which a process starts, stops or removes the cluster. Called as the owner.
 * *ret_fd holds the lock until it is closed. Returns EBUSY if another process keeps the lock.
 */
awa_status folder_lock(const struct folder *f, int *ret_fd, awa_error *err) AWA_CHECKED;

/* Makes the text path/name, to be freed; NULL: out of memory. */
char *folder_join(const struct folder *f, const char *name);

#endif
