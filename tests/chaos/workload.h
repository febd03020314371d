/* SPDX-License-Identifier: MIT */
/*
 * What jobs there are: everything about a job follows from its key, so that whoever meets one,
 * the checker first of all, knows what it should be without asking.
 */
#ifndef CHAOS_WORKLOAD_H
#define CHAOS_WORKLOAD_H

#include <stdint.h>

#include "pg/pg.h"

/* How their handlers behave. */
#define KIND_MAP(X)                                                             \
    X(INSTANT, "instant")                                                       \
    X(SHORT, "short")       /* 1 to 50 ms */                                    \
    X(LONG, "long")         /* 2 s, unless it is cancelled */                   \
    X(DEAF, "deaf")         /* 3 s, whatever it is told */                      \
    X(FAILS, "fails")       /* once to three times, then succeeds */            \
    X(SNOOZES, "snoozes")   /* now and then */                                  \
    X(EFFECT, "effect")     /* completes in its own transaction, with effect */ \
    X(HOPELESS, "hopeless") /* fails always, and has three attempts */

enum kind {
#define X(name, text) KIND_##name,
    KIND_MAP(X)
#undef X
        KINDS
};

/* Where they go. The queue of a key stands in the key. */
#define QUEUE_MAP(X)                                                   \
    X(BULK, "bulk")                                                    \
    X(UNIQUE, "unique")     /* some with unique keys */                \
    X(LETTERS, "letters")   /* failed ones become dead letters */      \
    X(FIFO, "fifo")         /* one producer, one worker, one thread */ \
    X(PROGRAMS, "programs") /* run by `awa work` */

enum queue {
#define X(name, text) QUEUE_##name,
    QUEUE_MAP(X)
#undef X
        QUEUES
};

enum { UNIQUE_KEYS = 300 };

/* The n-th key that a process makes for a queue. */
uint64_t key_make(uint32_t proc, enum queue queue, uint32_t n);
enum queue key_queue(uint64_t key);
uint32_t key_proc(uint64_t key);
enum kind key_kind(uint64_t key);
uint32_t key_hash(uint64_t key);   /* evenly spread; also what the payload must say */
bool key_has_output(uint64_t key); /* its key, as JSON */
unsigned key_fails(uint64_t key);
int64_t key_max_attempts(uint64_t key);
int64_t key_priority(uint64_t key);

const char *kind_name(enum kind kind);
const char *queue_name(enum queue queue);

/* The options of a job, whose texts lie in *text. */
struct job_text {
    char args[96], unique[24];
};
awa_job_options key_job(uint64_t key, struct job_text *text);

/* The key in a payload; *ret_good: nothing in it has changed. */
uint64_t key_read(const char *args, bool *ret_good);

/* A worker's number, as records have it. */
uint32_t hash_of_worker(uint64_t number);

/* Numbers that follow from a seed. */
uint64_t mix(uint64_t x);
struct dice {
    uint64_t state;
};
uint64_t dice_roll(struct dice *d);
uint32_t dice_below(struct dice *d, uint32_t n);
int32_t dice_between(struct dice *d, int32_t low, int32_t high);

#endif
