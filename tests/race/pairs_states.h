/* SPDX-License-Identifier: MIT */
/* The states in which two verbs meet. */
#ifndef AWA_PAIRS_STATES_H
#define AWA_PAIRS_STATES_H

#include "verbs.h"

struct state {
    const char *name;
    const char *sql; /* the argument of test.begin() */
    struct scene scene;
};

extern const struct state states[];
extern const size_t nstates;

/* A scene in words, as test.finish() describes the database. */
void scene_text(const struct scene *s, char text[static ANSWER_MAX]);

#endif
