/* SPDX-License-Identifier: MIT */
/* See disk.h. */
#include "cli/disk.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

static void
auto_fts(FTS **walk)
{
    if (*walk != NULL)
        (void)fts_close(*walk);
}

static FTS *
walk_new(const char *path)
{
    char *const paths[] = { (char *)(uintptr_t)path, NULL };

    return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
}

/* Whether to delete an entry now. A directory comes twice: it is deleted the second time, empty. */
static bool
is_due(const FTSENT *entry, int level, const char *spare)
{
    if (entry->fts_info == FTS_D || entry->fts_level < level)
        return false;
    return entry->fts_level != FTS_ROOTLEVEL + 1 || spare == NULL ||
           strcmp(entry->fts_name, spare) != 0;
}

static awa_status
remove_from(const char *path, int level, const char *spare, awa_error *err)
{
    AUTO(fts) FTS *walk = walk_new(path);
    const FTSENT *entry;

    if (walk == NULL)
        return awa__fail(err, AWA_ESYS, "dev: %s: %m", path);
    while ((entry = fts_read(walk)) != NULL)
        if (is_due(entry, level, spare) && remove(entry->fts_accpath) != 0 && errno != ENOENT)
            return awa__fail(err, AWA_ESYS, "dev: %s: %m", entry->fts_path);
    if (errno != 0)
        return awa__fail(err, AWA_ESYS, "dev: %s: %m", path);
    return AWA_OK;
}

awa_status
disk_remove(const char *path, awa_error *err)
{
    return remove_from(path, FTS_ROOTLEVEL, NULL, err);
}

awa_status
disk_remove_below(const char *path, const char *spare, awa_error *err)
{
    return remove_from(path, FTS_ROOTLEVEL + 1, spare, err);
}

int64_t
disk_usage(const char *path)
{
    AUTO(fts) FTS *walk = walk_new(path);
    const FTSENT *entry;
    int64_t bytes = 0;

    while (walk != NULL && (entry = fts_read(walk)) != NULL)
        if (entry->fts_info == FTS_F || entry->fts_info == FTS_D)
            bytes += (int64_t)entry->fts_statp->st_blocks * 512;
    return bytes;
}
