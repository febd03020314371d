/* SPDX-License-Identifier: MIT */
/* Reads durations as people type them. */
#ifndef AWA_CLI_DURATION_H
#define AWA_CLI_DURATION_H

#include <stddef.h>
#include <stdint.h>

#include <awa/awa.h>

/*
 * Reads a duration: 500ms, 5s, 2m, 1h or 3d. Returns EINVAL for other texts, such as a number
 * without a unit.
 */
awa_status awa__duration_parse(const char *text, size_t len, int64_t *ret_ms,
                               awa_error *err) AWA_CHECKED;

#endif
