/* SPDX-License-Identifier: MIT */
/*
 * Whose a server's files and processes are: the caller's, or, because PostgreSQL refuses to run
 * as root, somebody else's. Root then touches them as that user, so that nothing that lies there
 * (a link, for one) can lead it astray.
 */
#ifndef AWA_CLI_OWNER_H
#define AWA_CLI_OWNER_H

#include <sys/types.h>

#include "pg/pg.h"

struct owner {
    uid_t uid;
    gid_t gid;
};

/* For the caller itself; for root, of that directory, or user postgres, or nobody. */
awa_status owner_find(const char *dir, struct owner *ret_owner, awa_error *err) AWA_CHECKED;

/* Acts as the owner until *back leaves scope: AUTO(owner) struct owner back = owner_now(). */
awa_status owner_assume(struct owner owner, awa_error *err) AWA_CHECKED;
struct owner owner_now(void);
void auto_owner(const struct owner *back);

/* Becomes the owner for good; in a child process. */
bool owner_become(struct owner owner);

#endif
