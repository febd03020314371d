/* SPDX-License-Identifier: MIT */
/* See owner.h. */
#include "cli/owner.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

struct owner
owner_now(void)
{
    return (struct owner){ geteuid(), getegid() };
}

awa_status
owner_find(const char *dir, struct owner *ret_owner, awa_error *err)
{
    const struct passwd *user;
    struct stat st;

    *ret_owner = owner_now();
    if (geteuid() != 0)
        return AWA_OK;
    if (stat(dir, &st) == 0 && st.st_uid != 0) {
        *ret_owner = (struct owner){ st.st_uid, st.st_gid };
        return AWA_OK;
    }
    user = getpwnam("postgres");
    if (user == NULL)
        user = getpwnam("nobody");
    if (user == NULL)
        return awa__fail(err, AWA_ESYS, "dev: root needs a user postgres or nobody for the server");
    *ret_owner = (struct owner){ user->pw_uid, user->pw_gid };
    return AWA_OK;
}

awa_status
owner_assume(struct owner owner, awa_error *err)
{
    if (geteuid() != 0)
        return AWA_OK;
    if (setegid(owner.gid) != 0 || seteuid(owner.uid) != 0)
        return awa__fail(err, AWA_ESYS, "dev: cannot act as user %u: %m", owner.uid);
    return AWA_OK;
}

/* Aborts on failure, because to go on as the wrong user would be worse. */
void
auto_owner(const struct owner *back)
{
    if (seteuid(back->uid) != 0 || setegid(back->gid) != 0)
        abort();
}

bool
owner_become(struct owner owner)
{
    if (getuid() != 0)
        return true;
    return seteuid(0) == 0 && setgroups(0, NULL) == 0 && setgid(owner.gid) == 0 &&
           setuid(owner.uid) == 0;
}
