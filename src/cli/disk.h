/* SPDX-License-Identifier: MIT */
/* Whole trees of files. Links are not followed, other file systems are not entered. */
#ifndef AWA_CLI_DISK_H
#define AWA_CLI_DISK_H

#include "pg/pg.h"

/* Deletes a file or a tree; one that is not there is fine. */
awa_status disk_remove(const char *path, awa_error *err) AWA_CHECKED;

/* Deletes what is in a directory, but for the file called `spare` at its top. */
awa_status disk_remove_below(const char *path, const char *spare, awa_error *err) AWA_CHECKED;

/* Bytes on disk, of what can be seen. */
int64_t disk_usage(const char *path);

#endif
