/* SPDX-License-Identifier: MIT */
/* Faults of the server, of its host and of its database. */
#ifndef CHAOS_SERVER_FAULTS_H
#define CHAOS_SERVER_FAULTS_H

#include "faults.h"

/* Asks the server something as the administrator; NULL: it does not answer. */
PGresult *server_ask(const struct faults *f, const char *sql);

/* Injects one; false: it hit nothing. */
bool server_hit(struct faults *f, const struct planned *what);

/* Lifts one that lasts. */
void server_heal(struct faults *f, const struct planned *what);

#endif
