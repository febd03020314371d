/* SPDX-License-Identifier: MIT */
/* The throw-away cluster of a test run. */
#ifndef AWA_TEST_CLUSTER_H
#define AWA_TEST_CLUSTER_H

#include "lib/internal.h"

/* Names the cluster that a wrapper has started for several test programs. */
#define TEST_DSN_VARIABLE "AWA_TEST_DSN"

/* A setting that every server of a test run is to have, as name=value; see ./dev test --with. */
#define TEST_SETTING_VARIABLE "AWA_TEST_SETTING"

/* Starts a cluster that ends with this process, and whose directory goes at exit(). */
awa_status test_cluster_start(const char **ret_dsn, awa_error *err) AWA_CHECKED;

#endif
