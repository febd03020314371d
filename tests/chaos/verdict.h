/* SPDX-License-Identifier: MIT */
/* What the checks find. */
#ifndef CHAOS_VERDICT_H
#define CHAOS_VERDICT_H

#include "history.h"

/* name, the invariant of docs/testing.md, what it means if it was broken */
#define RULE_MAP(X)                                                                    \
    X(LOST, "I1", "a job that was accepted is gone")                                   \
    X(CHANGED, "I1", "a payload has changed")                                          \
    X(TORN, "I1", "a job without its business row, or the other way round")            \
    X(MISCOUNTED, "I1", "a queue counts fewer or more jobs than were accepted")        \
    X(NOWHERE, "I2", "a job that nobody inserted, or whose insertion was refused")     \
    X(STALE, "I3", "a stale or foreign attempt was allowed to write")                  \
    X(TOKEN, "I4", "one attempt was named twice")                                      \
    X(DOUBLE, "I5", "a job ran twice for no recorded reason")                          \
    X(ALIVE, "I5", "jobs were taken from a worker to which nothing had happened")      \
    X(ATTEMPTS, "I6", "attempts are counted wrongly, or burnt for nothing")            \
    X(EFFECT, "I8", "an effect is missing, double, or of another attempt")             \
    X(OUTPUT, "I8", "the output of a job is lost")                                     \
    X(ORDER, "I9", "a job was overtaken in its lane")                                  \
    X(UNIQUE, "I10", "two live jobs with one unique key, or a refusal without reason") \
    X(COUNTS, "I11", "counts differ from a recount, or one job is in two places")      \
    X(GROWTH, "I16", "memory, files or tables grow")                                   \
    X(PROGRESS, "I17", "no progress after healing, a long wait, or a deadlock")        \
    X(LOG, "I19", "a process crashed, or an unexpected line in the server's log")      \
    X(DUMP, "I20", "a job is missing in a dump, or is in it twice")

enum rule {
#define X(name, code, text) RULE_##name,
    RULE_MAP(X)
#undef X
        RULES
};

enum { SHOWN_MAX = 6, FIGURES_MAX = 4000000 };

struct figures { /* in ms */
    double *at;
    size_t n, room;
};

struct verdict {
    const struct verdict_options *options;
    uint64_t broken[RULES];
    uint64_t jobs, runs, refused, unknown, unresolved, existing[QUEUES], deleted[QUEUES],
        maybe_deleted[QUEUES];
    uint64_t lawful_duplicates, by_rescue, by_crash, by_unknown, by_deadline, by_own, by_operator,
        burnt;
    uint64_t stale_tried, stale_refused, late, recounts, cancels, pruned, guest_deadlocks;
    uint64_t dumps, dumped; /* dumped: jobs that live in them */
    uint32_t faults[FAULTS];
    struct figures recovery[FAULTS];
    struct figures leader, lateness;
    struct figures led[FAULTS]; /* from the end of a fault until somebody leads */
    uint64_t drain_ms, recount_max_ms, bytes_max, dead_max, sessions_max;
    uint64_t rss_first_kb, rss_last_kb, fds_first, fds_last, terms;
    char examples[RULES][SHOWN_MAX][300];
};

void break_rule(struct verdict *v, enum rule rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void figure_add(struct figures *f, double ms);

/* The checks; each looks at one side of the history. */
void check_jobs(const struct history *h, struct verdict *v);
void check_lanes(const struct history *h, struct verdict *v);
void check_unique(const struct history *h, struct verdict *v);
void check_dump(const struct history *h, struct verdict *v);
void check_taken(const struct history *h, struct verdict *v);
void check_world(const struct history *h, struct verdict *v);
void check_log(const char *dir, struct verdict *v);
void check_recovery(const struct history *h, struct verdict *v);

#endif
