/* SPDX-License-Identifier: MIT */
/*
 * Something between a client and the server that goes wrong on demand. Ended after the test by
 * test_worker_teardown().
 */
#ifndef AWA_TEST_PROXY_H
#define AWA_TEST_PROXY_H

#include "test.h"

/* Listens for sessions with the server of this database. Returns a dsn as the login test_<role>. */
const char *test_proxy_start(PGconn *db, const char *role);
void test_proxy_stop(void);

/* From now on nothing that the server says gets through. */
void test_proxy_mute(void);

/* Closes all sessions, and returns when it is done; refuse: and new ones, until test_proxy_pass().
 */
void test_proxy_cut(bool refuse);
void test_proxy_pass(void);

/* How often somebody has connected. */
int test_proxy_count(void);

#endif
