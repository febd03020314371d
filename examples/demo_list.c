/* SPDX-License-Identifier: MIT */
/* Makes the input: a list of files below a directory, and of some that do not exist. */
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

static bool
append(struct list *l, char *path, bool missing)
{
    if (l->n == l->capacity) {
        size_t capacity = l->capacity > 0 ? 2 * l->capacity : 1024;
        struct item *items = realloc(l->items, capacity * sizeof *items);

        if (items == NULL) {
            free(path);
            return complain("list: out of memory");
        }
        l->items = items;
        l->capacity = capacity;
    }
    if (path == NULL)
        return complain("list: out of memory");
    l->items[l->n++] = (struct item){ .path = path, .missing = missing };
    return true;
}

/* Sorts files before directories, so that the files of one directory stand together. */
static int
files_first(const FTSENT **a, const FTSENT **b)
{
    int a_is_dir = (*a)->fts_info == FTS_D, b_is_dir = (*b)->fts_info == FTS_D;

    if (a_is_dir != b_is_dir)
        return a_is_dir - b_is_dir;
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool
walk(struct list *l, FTS *tree, size_t max)
{
    FTSENT *entry;

    while (l->n < max && (entry = fts_read(tree)) != NULL) {
        if (entry->fts_info == FTS_DNR ||
            (entry->fts_info == FTS_F && access(entry->fts_path, R_OK) != 0))
            l->unreadable++;
        else if (entry->fts_info != FTS_F)
            continue;
        else if (!append(l, strdup(entry->fts_path), false))
            return false;
    }
    return true;
}

/* Adds a file that does not exist, in the directory of another one. */
static bool
append_missing(struct list *l, const char *neighbour, size_t number)
{
    int dir = (int)(strrchr(neighbour, '/') - neighbour);
    char *path = NULL;

    if (asprintf(&path, "%.*s/awa-demo-no-such-file-%02zu", dir, neighbour, number) < 0)
        path = NULL;
    return append(l, path, true);
}

/* Spreads files that do not exist over the list. */
static bool
mix_in_missing(struct list *l)
{
    struct list mixed = { .unreadable = l->unreadable };
    size_t missing = l->n / 10 < MISSING ? l->n / 10 + 1 : MISSING, added = 0;
    bool ok = true;

    for (size_t i = 0; i < l->n && ok; i++) {
        ok = append(&mixed, l->items[i].path, false);
        l->items[i].path = NULL;
        if (ok && (i + 1) * missing / l->n > added)
            ok = append_missing(&mixed, mixed.items[mixed.n - 1].path, ++added);
    }
    list_done(l);
    *l = mixed;
    return ok;
}

bool
list_read(struct list *l, const char *root, size_t max)
{
    char *path = realpath(root, NULL);
    FTS *tree = path != NULL ? fts_open((char *[]){ path, NULL },
                                        FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, files_first)
                             : NULL;
    bool ok = tree != NULL ? walk(l, tree, max) : complain("%s: %m", root);

    if (tree != NULL)
        (void)fts_close(tree);
    free(path);
    if (ok && l->n == 0)
        return complain("%s: no file to work on", root);
    return ok && mix_in_missing(l);
}

void
list_done(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].path);
    free(l->items);
    *l = (struct list){ 0 };
}

size_t
list_directory_end(const struct list *l, size_t from)
{
    size_t dir = (size_t)(strrchr(l->items[from].path, '/') - l->items[from].path) + 1;
    size_t end = from + 1;

    while (end < l->n && strncmp(l->items[end].path, l->items[from].path, dir) == 0 &&
           strchr(l->items[end].path + dir, '/') == NULL)
        end++;
    return end;
}
