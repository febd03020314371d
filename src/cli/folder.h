/* SPDX-License-Identifier: MIT */
/*
 * The directory of a private cluster. It is nobody else's, mode 0700, and carries a marker, so
 * that a wrong --dir is never filled or deleted.
 */
#ifndef AWA_CLI_FOLDER_H
#define AWA_CLI_FOLDER_H

#include "cli/owner.h"

struct folder {
    char *path; /* absolute */
    struct owner owner;
};

/* Checks the path and finds the owner; touches nothing. */
awa_status folder_init(struct folder *f, const char *path, awa_error *err) AWA_CHECKED;
void folder_done(struct folder *f);

/* Makes the directory and its marker, or makes sure that it is ours. Called as the caller. */
awa_status folder_prepare(const struct folder *f, awa_error *err) AWA_CHECKED;

/* Is there a directory with our marker? */
bool folder_is_ours(const struct folder *f);

/* Deletes it, the marker last, so that a call that died halfway can be repeated. */
awa_status folder_remove(const struct folder *f, awa_error *err) AWA_CHECKED;

/* From here on called as the owner. A file in it, made if missing. -1: see errno. */
int folder_open(const struct folder *f, const char *name, int flags);

/* Only one process at a time starts, stops or removes; the lock is *ret_fd. Returns EBUSY. */
awa_status folder_lock(const struct folder *f, int *ret_fd, awa_error *err) AWA_CHECKED;

/* path/name, to be freed; NULL: out of memory */
char *folder_join(const struct folder *f, const char *name);

#endif
