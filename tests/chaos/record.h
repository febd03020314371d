/* SPDX-License-Identifier: MIT */
/*
 * The history: what each process did and saw, as records of one size, each written with one
 * write(2) to a file of that process alone. The page cache outlives a killed process, so what was
 * written is there; a last record that is cut off counts as never written.
 *
 * An operation is an INVOKE, written before anything is sent, and then OK, FAIL or INFO. FAIL says
 * for sure that nothing happened. A lost answer is INFO, and so is an INVOKE that nothing follows:
 * it may have happened, or may still.
 */
#ifndef CHAOS_RECORD_H
#define CHAOS_RECORD_H

#include <stdint.h>

#include "pg/pg.h"

enum op {
    OP_PROCESS,  /* INVOKE: it begins, aux: its link + 1, 0: none; OK: it has ended, aux: how;
                    res: enum role, key: the process */
    OP_INSERT,   /* of aux keys from key on; hash: unique key + 1 */
    OP_START,    /* an attempt begins; aux: its number, hash: of the worker's number */
    OP_END,      /* the handler has returned; res: awa_outcome */
    OP_WRITE,    /* a stale or foreign attempt writes; res: index in verbs; FAIL: it was refused */
    OP_OPERATE,  /* an operator's verb on a job; res: index in verbs; FAIL: it changed nothing */
    OP_FAULT,    /* INVOKE: injected, OK: lifted; res: enum fault, key: process, aux: its number,
                    job: by how many seconds the server's clock is set */
    OP_SAMPLE,   /* of the watcher; res: enum sample, FAIL: it found something wrong */
    OP_TERM,     /* a new leader is seen; job: term, key: process */
    OP_TAKEN,    /* aux jobs were taken from process key since position, a time in ns */
    OP_DUMP,     /* OK: what was committed before claim and lived at position, times in ns, must be
                    in it */
    OP_DUMPED,   /* a job in the dump of this process; res: it waits or runs */
    OP_JOB,      /* in the end, a job as awa.jobs shows it; res: enum state, aux: attempt */
    OP_EFFECT,   /* in the end, a row of effects; hash: of the worker's number */
    OP_BUSINESS, /* in the end, a row of business */
    OP_OUTPUT,   /* in the end, a job whose output was kept */
    OP_RESCUED,  /* in the end, aux jobs were taken from workers of process key */
    OP_COUNT,    /* in the end, queue lane says that it has job jobs, position of them pruned */
    OP_CHECK,    /* something that the conductor itself found; FAIL: wrong */
};

enum phase_of { PHASE_INVOKE, PHASE_OK, PHASE_FAIL, PHASE_INFO };

enum role {
    ROLE_CONDUCTOR,
    ROLE_WORKER,
    ROLE_PRODUCER,
    ROLE_ZOMBIE,
    ROLE_OPERATOR,
    ROLE_WATCHER,
    ROLE_PROXY,
    ROLE_OTHER,
};

/* In mode. */
enum {
    MODE_SINGLE,
    MODE_BATCH,
    MODE_COPY,
    MODE_TRANSACTION,
    MODE_UNIQUE,
    MODE_MASK = 15,
    MODE_ZOMBIE = 16,   /* the attempt is one of a zombie */
    MODE_FOREIGN = 32,  /* the write names an attempt of somebody else */
    MODE_DEFERRED = 64, /* the job is not due at once */
};

struct record {
    uint64_t mono_ns; /* CLOCK_MONOTONIC: the same for all processes, and never faked */
    uint64_t wall_us; /* as the process believes */
    uint32_t proc, thread;
    uint64_t id; /* of the operation, within its process */
    uint8_t op, phase, res, mode;
    uint32_t lane; /* enum queue */
    uint64_t key;  /* the payload's identity, made by its producer */
    uint64_t job;
    uint64_t claim, position; /* the attempt */
    uint32_t hash, aux;
};

_Static_assert(sizeof(struct record) == 80, "records are 80 bytes long");

/* Opens the file of this process; every thread may write. */
awa_status record_open(const char *dir, uint32_t proc, awa_error *err) AWA_CHECKED;

/* Fills in time, process and thread, and writes; a disk that is full ends the process. */
void record_write(struct record r);

/* A new id for an operation. */
uint64_t record_id(void);

/* The same operation once more, as INVOKE first and with its outcome later. */
struct record record_begin(struct record r);
void record_end(struct record r, enum phase_of phase);

uint64_t mono_ns(void);

#endif
