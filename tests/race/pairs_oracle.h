/* SPDX-License-Identifier: MIT */
/*
 * How two verbs may end that were called at once: as if one had come after the other, or as if one
 * of them had been refused.
 */
#ifndef AWA_PAIRS_ORACLE_H
#define AWA_PAIRS_ORACLE_H

#include "pairs_states.h"

enum { ALLOWED_MAX = 2 * (1 + REFUSALS_MAX) * (1 + REFUSALS_MAX) };

/* The answer of a verb that was rolled back counts for nothing: "". */
struct ending {
    const char *how;
    char answers[2][ANSWER_MAX];
    char scene[ANSWER_MAX];
};

struct allowed {
    struct ending endings[ALLOWED_MAX];
    size_t n;
};

/*
 * All endings that are allowed. Of a pair of which one was rolled back the other is left; its place
 * is NULL. If they never met, because the first had committed when the second was called, only that
 * order counts, and nobody was refused because of the other.
 */
struct allowed allow_all(const struct state *state, const struct verb *const *pair, bool met);

bool is_allowed(const struct allowed *all, const struct ending *e);

/* What two verbs have to do with each other in a state. */
enum meeting {
    STRANGERS,
    NEIGHBOURS, /* both act, or the order matters, but not on the job */
    RIVALS, /* both move the job; or one does, and the order matters or the other empties its slot
             */
};

enum meeting meet(const struct state *state, const struct verb *const *pair);

#endif
