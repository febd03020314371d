/* SPDX-License-Identifier: MIT */
/* All records of a run in memory, put in the orders in which they are asked about. */
#ifndef CHAOS_HISTORY_H
#define CHAOS_HISTORY_H

#include "check.h"
#include "process.h"

/* One insertion: keys from key to key + n - 1. */
struct insert {
    uint64_t key, invoke_ns, done_ns; /* done_ns: of the answer, or UINT64_MAX */
    uint32_t n, hash;
    uint8_t phase, mode, res;
};

/* A fault, from injecting to lifting it. */
struct trouble {
    enum fault fault;
    uint32_t proc;
    uint64_t from_ns, to_ns;
    int64_t step_s, back_s; /* of the server's clock, at its beginning and its end */
};

struct history {
    struct record *records; /* by time */
    size_t n;
    struct insert *inserts; /* by key */
    size_t ninserts;
    const struct record **of_keys; /* what concerns a key, by key and time */
    size_t nof_keys;
    struct trouble *troubles; /* by time */
    size_t ntroubles;
    int64_t rescued[PROCS_MAX];    /* by process: jobs that were taken from it */
    uint64_t killed_ns[PROCS_MAX]; /* 0: it was not */
    uint64_t started_ns[PROCS_MAX], ended_ns[PROCS_MAX];
    uint8_t role[PROCS_MAX];
    uint32_t link[PROCS_MAX]; /* to the server, from 1; 0: none of its own */
};

awa_status history_read(const char *dir, struct history *ret, awa_error *err) AWA_CHECKED;
void history_done(struct history *h);

/* The insertion of a key; NULL: there was none. */
const struct insert *insert_of(const struct history *h, uint64_t key);

/* Does a trouble concern a process? One of a network does, whoever had that before. */
bool concerns(const struct history *h, const struct trouble *t, uint32_t proc);

/* Was there an outage that touches [from, to]? */
bool outage_between(const struct history *h, uint64_t from_ns, uint64_t to_ns);

/* One that stops everybody? */
bool stop_between(const struct history *h, uint64_t from_ns, uint64_t to_ns);

/* Was the server's clock set forward by so much that the deadline of every attempt passed? */
bool deadlines_between(const struct history *h, uint64_t from_ns, uint64_t to_ns);

/* Any fault that may cost a client its session or an answer. */
bool trouble_between(const struct history *h, uint64_t from_ns, uint64_t to_ns);

#endif
