/* SPDX-License-Identifier: MIT */
/*
 * The user to whom a server's files and processes belong: the caller, but for root another user,
 * because PostgreSQL refuses to run as root. Root then acts as that user, so that a link in that
 * user's directory cannot make it change other files.
 */
#ifndef AWA_CLI_OWNER_H
#define AWA_CLI_OWNER_H

#include <sys/types.h>

#include "pg/pg.h"

struct owner {
    uid_t uid;
    gid_t gid;
};

/*
 * Finds the owner: the caller; for root the owner of `dir`, if that is not root, else the user
 * postgres, else nobody.
 */
awa_status owner_find(const char *dir, struct owner *ret_owner, awa_error *err) AWA_CHECKED;

/* Acts as the owner until *back leaves scope: AUTO(owner) struct owner back = owner_now(). */
awa_status owner_assume(struct owner owner, awa_error *err) AWA_CHECKED;
struct owner owner_now(void);
void auto_owner(const struct owner *back);

/* Becomes the owner for good, in a child process. */
bool owner_become(struct owner owner);

#endif
