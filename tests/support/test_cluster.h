/* SPDX-License-Identifier: MIT */
/* The throw-away cluster of a test run. */
#ifndef AWA_TEST_CLUSTER_H
#define AWA_TEST_CLUSTER_H

#include "pg/pg.h"

/* Names the cluster that a wrapper has started for several test programs. */
#define TEST_DSN_VARIABLE "AWA_TEST_DSN"

/* Tells scripts where the clusters that they make may lie. */
#define TEST_PLACE_VARIABLE "AWA_TEST_PLACE"

/* A setting that every server of a test run is to have, as name=value; see ./dev test --with. */
#define TEST_SETTING_VARIABLE "AWA_TEST_SETTING"

enum { TEST_CLUSTER_DIR_MAX = 64 };

/*
 * Where clusters lie: in memory if there is room, because nearly every test makes a database, which
 * means some thousand files; otherwise on the disk.
 */
const char *test_cluster_place(void);

/* The directory there for a cluster of this process. The next test run sweeps it if we cannot. */
void test_cluster_dir(const char *suffix, char ret[static TEST_CLUSTER_DIR_MAX]);

/* Starts a cluster that ends with this process, and whose directory goes at exit(). */
awa_status test_cluster_start(const char **ret_dsn, awa_error *err) AWA_CHECKED;

#endif
