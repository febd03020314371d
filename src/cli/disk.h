/* SPDX-License-Identifier: MIT */
/* Deletes and measures trees of files. Follows no links and enters no other file system. */
#ifndef AWA_CLI_DISK_H
#define AWA_CLI_DISK_H

#include "pg/pg.h"

/* Deletes a file or a tree. It is no error if there is none. */
awa_status disk_remove(const char *path, awa_error *err) AWA_CHECKED;

/* Deletes all that is in a directory, except the file `spare` directly in it. */
awa_status disk_remove_below(const char *path, const char *spare, awa_error *err) AWA_CHECKED;

/* How many bytes on disk the files that we may see take. */
int64_t disk_usage(const char *path);

#endif
