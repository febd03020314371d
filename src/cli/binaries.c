/* SPDX-License-Identifier: MIT */
/*
 * Finds the programs of PostgreSQL. The server's are seldom in the PATH, and pg_config belongs to
 * the client library, whose version may differ.
 */
#include "cli/binaries.h"

#include <glob.h>
#include <string.h>

static void
auto_glob(glob_t *found)
{
    globfree(found);
}

/* `folder`/`name` if it can be run, to be freed; else NULL. */
static char *
runnable(const char *folder, size_t len, const char *name)
{
    AUTO(free) char *path = NULL;

    if (asprintf(&path, "%.*s/%s", (int)len, folder, name) < 0)
        path = NULL; /* undefined after a failure */
    return path != NULL && access(path, X_OK) == 0 ? TAKE(path) : NULL;
}

/* The newest of /usr/lib/postgresql/15/bin/initdb, ... that fits. */
static char *
newest(const char *pattern, const char *name, int major)
{
    AUTO(free) char *best = NULL;
    AUTO(glob) glob_t found = { 0 };
    size_t prefix = strcspn(pattern, "*");
    long best_major = PG_MAJOR_MIN - 1;

    if (glob(pattern, 0, NULL, &found) != 0)
        return NULL;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *folder = found.gl_pathv[i];
        long this_major = strtol(folder + prefix, NULL, 10);
        AUTO(free) char *path = runnable(folder, strlen(folder), name);

        if (path == NULL || this_major <= best_major || (major != 0 && this_major != major))
            continue;
        free(best);
        best = TAKE(path);
        best_major = this_major;
    }
    return TAKE(best);
}

static char *
in_path(const char *name)
{
    const char *folder = getenv("PATH");

    while (folder != NULL && *folder != '\0') {
        size_t len = strcspn(folder, ":");
        char *path = *folder == '/' ? runnable(folder, len, name) : NULL;

        if (path != NULL)
            return path;
        folder += len + (folder[len] == ':');
    }
    return NULL;
}

static char *
find(const char *name, int major)
{
    char *path = newest("/usr/lib/postgresql/*/bin", name, major); /* Debian */

    if (path == NULL)
        path = newest("/usr/pgsql-*/bin", name, major); /* the RPM packages */
    if (path == NULL)
        path = in_path(name);
    return path;
}

awa_status
pg_program(const char *name, int major, char **ret_path, awa_error *err)
{
    const char *chosen = getenv("AWA_PG_BINDIR");
    bool is_chosen = chosen != NULL && *chosen != '\0';
    char *path = is_chosen ? runnable(chosen, strlen(chosen), name) : find(name, major);

    if (path == NULL && is_chosen)
        return awa__fail(err, AWA_ESYS, "dev: AWA_PG_BINDIR, %s, holds no %s", chosen, name);
    if (path == NULL)
        return awa__fail(err, AWA_ESYS,
                         "dev: no %s of PostgreSQL %d%s; install its server package or set "
                         "AWA_PG_BINDIR",
                         name, major != 0 ? major : PG_MAJOR_MIN, major != 0 ? "" : " or newer");
    *ret_path = path;
    return AWA_OK;
}

awa_status
pg_client_program(const char *name, char **ret_path, awa_error *err)
{
    char *path = NULL;
    awa_status s = pg_program(name, 0, &path, err);

    if (s != AWA_OK)
        path = find(name, 0);
    if (path == NULL)
        return s;
    *ret_path = path;
    return AWA_OK;
}
