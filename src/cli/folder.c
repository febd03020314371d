/* SPDX-License-Identifier: MIT */
/* See folder.h. */
#include "cli/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "cli/disk.h"
#include "cli/spawn.h"

static const char marker[] = "awa-cluster";
static const char lock_file[] = "lock";

enum {
    PATH_ROOM = sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof "/.s.PGSQL.5432",
    LOCK_WAIT_MS = 300 * 1000, /* longer than the longest start */
    LOCK_NAP_MS = 50,
};

static void
auto_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* ---- The path ---------------------------------------------------------------------------- */

/*
 * The path is part of a connection string, a list of directories and a socket address. The first
 * two would need quoting, so only plain characters are allowed; the last has room for 108 bytes.
 */
static awa_status
check_path(const char *path, awa_error *err)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+@:~";

    if (path[strspn(path, plain)] != '\0')
        return awa__fail(
            err, AWA_EINVAL,
            "dev: directory '%s': only letters, digits and / . _ - + @ : ~ are allowed", path);
    if (strlen(path) > PATH_ROOM)
        return awa__fail(err, AWA_EINVAL,
                         "dev: directory '%s': a socket path allows %d bytes, this has %zu; "
                         "choose one with --dir",
                         path, PATH_ROOM, strlen(path));
    return AWA_OK;
}

static awa_status
absolute(const char *path, char **ret_path, awa_error *err)
{
    AUTO(free) char *here = *path == '/' ? NULL : getcwd(NULL, 0);

    if (*path != '/' && here == NULL)
        return awa__fail(err, AWA_ESYS, "dev: directory '%s': %m", path);
    if (asprintf(ret_path, "%s%s%s", here != NULL ? here : "", here != NULL ? "/" : "", path) < 0)
        return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
    return AWA_OK;
}

awa_status
folder_init(struct folder *f, const char *path, awa_error *err)
{
    AUTO(free) char *full = NULL;
    awa_status s;

    s = absolute(path, &full, err);
    if (s == AWA_OK)
        s = check_path(full, err);
    if (s == AWA_OK)
        s = owner_find(full, &f->owner, err);
    if (s == AWA_OK)
        f->path = TAKE(full);
    return s;
}

void
folder_done(struct folder *f)
{
    free(f->path);
    f->path = NULL;
}

char *
folder_join(const struct folder *f, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", f->path, name) < 0 ? NULL : path;
}

/* ---- Making it --------------------------------------------------------------------------- */

/*
 * Makes the parents of the directory. Those that root makes are open to all users, whatever the
 * umask, because the server runs as another user.
 */
static awa_status
make_parents(const char *path, awa_error *err)
{
    AUTO(free) char *part = strdup(path);
    mode_t mode = geteuid() == 0 ? 0755 : 0700;

    if (part == NULL)
        return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, mode) == 0 && chmod(part, mode) != 0)
            return awa__fail(err, AWA_ESYS, "dev: %s: %m", part);
        *slash = '/';
    }
    return AWA_OK; /* if a parent could not be made, making the directory fails */
}

/* Whether a directory has no files, apart from those that another awa may just have made. */
static bool
is_empty(const char *path)
{
    AUTO(dir) DIR *dir = opendir(path);
    const struct dirent *entry;

    if (dir == NULL)
        return false;
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, marker) != 0 && strcmp(entry->d_name, lock_file) != 0)
            return false;
    return true;
}

bool
folder_is_ours(const struct folder *f)
{
    AUTO(free) char *path = folder_join(f, marker);

    return path != NULL && access(path, F_OK) == 0;
}

int
folder_open(const struct folder *f, const char *name, int flags)
{
    AUTO(free) char *path = folder_join(f, name);

    return path != NULL ? open(path, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
}

static awa_status
mark(const struct folder *f, awa_error *err)
{
    static const char text[] = "A private PostgreSQL cluster of awa. Delete it with `awa dev "
                               "reset`.\n";
    AUTO(fd) int fd = folder_open(f, marker, O_WRONLY | O_TRUNC);

    if (fd < 0 || write(fd, text, sizeof text - 1) < 0)
        return awa__fail(err, AWA_ESYS, "dev: %s/%s, as the server's user: %m", f->path, marker);
    return AWA_OK;
}

/*
 * Gives the directory to the owner, with mode 0700. Root may give away its own; the directory of a
 * third user is refused.
 */
static awa_status
own(const struct folder *f, awa_error *err)
{
    AUTO(fd) int fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return awa__fail(err, AWA_ESYS, "dev: %s: %m", f->path);
    if (st.st_uid != f->owner.uid && st.st_uid != geteuid())
        return awa__fail(err, AWA_ESYS, "dev: %s belongs to another user", f->path);
    if ((st.st_uid != f->owner.uid && fchown(fd, f->owner.uid, f->owner.gid) != 0) ||
        ((st.st_mode & 0777) != 0700 && fchmod(fd, 0700) != 0))
        return awa__fail(err, AWA_ESYS, "dev: %s: %m", f->path);
    return AWA_OK;
}

awa_status
folder_prepare(const struct folder *f, awa_error *err)
{
    AUTO(owner) struct owner back = owner_now();
    awa_status s = make_parents(f->path, err);

    if (s != AWA_OK)
        return s;
    if (mkdir(f->path, 0700) != 0 && errno != EEXIST)
        return awa__fail(err, AWA_ESYS, "dev: %s: %m", f->path);
    /* In this order: another start, which makes it ours, writes the marker before other files. */
    if (!is_empty(f->path) && !folder_is_ours(f))
        return awa__fail(err, AWA_ESYS, "dev: %s holds other files; choose an empty directory",
                         f->path);
    s = own(f, err);
    if (s == AWA_OK)
        s = owner_assume(f->owner, err);
    return s == AWA_OK ? mark(f, err) : s;
}

/* ---- The lock ---------------------------------------------------------------------------- */

/*
 * Whether fd is still the lock file. A lock on a file that was deleted meanwhile locks nobody out.
 */
static bool
is_same_file(int fd, const struct folder *f)
{
    AUTO(free) char *path = folder_join(f, lock_file);
    struct stat mine, there;

    return path != NULL && fstat(fd, &mine) == 0 && stat(path, &there) == 0 &&
           mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

awa_status
folder_lock(const struct folder *f, int *ret_fd, awa_error *err)
{
    int64_t deadline = now_ms() + LOCK_WAIT_MS;

    do {
        AUTO(fd) int fd = folder_open(f, lock_file, O_RDWR);

        if (fd < 0)
            return awa__fail(err, AWA_ESYS, "dev: %s/%s: %m", f->path, lock_file);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_same_file(fd, f)) {
            *ret_fd = fd;
            fd = -1;
            return AWA_OK;
        }
        (void)poll(NULL, 0, LOCK_NAP_MS); /* flock() has no deadline of its own */
    } while (now_ms() < deadline);
    return awa__fail(err, AWA_EBUSY, "dev: another awa holds %s/%s for minutes now", f->path,
                     lock_file);
}

/* ---- Removing it ------------------------------------------------------------------------- */

static awa_status
empty(const struct folder *f, awa_error *err)
{
    AUTO(owner) struct owner back = owner_now();
    AUTO(free) char *last = folder_join(f, marker);
    awa_status s = owner_assume(f->owner, err);

    if (s == AWA_OK)
        s = disk_remove_below(f->path, marker, err);
    if (s == AWA_OK && (last == NULL || (unlink(last) != 0 && errno != ENOENT)))
        s = awa__fail(err, AWA_ESYS, "dev: %s/%s: %m", f->path, marker);
    return s;
}

/*
 * Deletes the content as the owner, but the directory itself as the caller: its parent may be
 * root's.
 */
awa_status
folder_remove(const struct folder *f, awa_error *err)
{
    awa_status s = empty(f, err);

    if (s == AWA_OK && rmdir(f->path) != 0 && errno != ENOENT)
        return awa__fail(err, AWA_ESYS, "dev: %s: %m", f->path);
    return s;
}
