/* SPDX-License-Identifier: MIT */
/*
 * The verbs of the engine, a row for each: who may call it, how, and what it may do to a job. The
 * tests that try verbs on jobs take from here what they expect: engine/transitions (each in each
 * state), race/pairs and race/halfway (each two at once), engine/property (random ones) and chaos
 * (what an operator or a stale worker does). Nothing here knows of positions, marks and locks, nor
 * of cmocka.
 */
#ifndef AWA_VERBS_H
#define AWA_VERBS_H

#include "attempt.h"
#include "test_model.h"

enum {
    ANSWER_MAX = 200,
    REFUSALS_MAX = 3, /* of a verb */
};

/* The slots of a scene. The sealed one is emptied. */
enum { SLOT_SEALED, SLOT_CURRENT, SLOT_NEXT };

/* The claim of worker 7 by which the job of a scene ran first, and any later one. */
enum { CLAIM_FIRST = 1, CLAIM_LATER };

/* Where two verbs meet: one job, and what is around it. */
struct scene {
    struct model_job job; /* its worker is 7 or 8 */
    int current;          /* slot */
    bool dlq;             /* of the queue is on */
    bool paused;          /* the queue */
    bool ended;           /* worker 7 */
    bool retired;         /* worker 7 claims no more */
    int waiting, running; /* jobs that were inserted meanwhile */
    int known;            /* jobs in all, pruned ones included */
};

/* By what a verb finds its jobs. */
enum verb_sort {
    VERB_OTHER,
    VERB_BY_ATTEMPT, /* the job of an attempt, while that holds it */
    VERB_BY_ID,      /* any job */
    VERB_BY_FILTER,  /* all that match; the verb's name is that of the function */
};

/* What becomes of the number of a job's attempts. */
enum verb_attempts {
    ATTEMPT_KEPT,
    ATTEMPT_BEGUN,      /* one more */
    ATTEMPT_USED,       /* a job whose last one it was does not live on: it has failed */
    ATTEMPT_GIVEN_BACK, /* one less */
    ATTEMPT_ANEW,       /* none */
};

enum {
    VERB_SILENT = 1,  /* it acts, though not on a job */
    VERB_EMPTIES = 2, /* it is about whatever is in the sealed slot */
    VERB_PATIENT = 4, /* it waits for a lock, but not for ever */
    VERB_ALIKE = 8,   /* others take its way through the engine: race/ runs it when asked only */
};

/* A way to say: not now. */
struct refusal {
    const char *answer;
    void (*effect)(struct scene *s); /* what it leaves behind; NULL: nothing */
    bool alone;                      /* it may say so with nobody else about */
};

struct verb {
    const char *name;
    const char *role; /* whose login may call it; NULL: whoever maintains the database */
    const char *sql;  /* for attempt_sql() */
    enum verb_sort sort;
    unsigned from;       /* the states in which it acts on a job */
    enum model_state to; /* what the job comes to */
    unsigned hastens;    /* in these states the job is due at once, and stays what it is */
    enum verb_attempts attempts;
    const char *did, *idle; /* its answers, or SQLSTATE; did NULL: the state that it came to */
    int64_t worker;         /* whose running jobs it is about, or who gets them; 0: all */
    void (*also)(struct scene *s); /* what it does besides, whatever the job is; NULL: nothing */
    /* How it takes its turn and what it answers, where that is more than all of the above. */
    const char *(*act)(const struct verb *v, struct scene *s);
    unsigned flags;
    int weight;                     /* in engine/property, beside others of its sort; 0: if at all,
                                       it has a move of its own there */
    const char *outcome;            /* for awa.close_jobs(), if that is the function */
    const struct refusal *refusals; /* the last has no answer; NULL: none */
};

extern const struct verb verbs[];
extern const size_t nverbs;

/* There must be one. */
const struct verb *verb_named(const char *name);

/*
 * What becomes of a job in one of the states from which a verb acts. slot: the current one; dlq: of
 * its queue, is on.
 */
void verb_apply(const struct verb *v, struct model_job *job, int slot, bool dlq);

/* What it says when it has acted on such a job. */
const char *verb_answer(const struct verb *v, const struct model_job *after);

/* A verb takes its turn. Returns its answer; an error changes nothing. */
const char *verb_act(const struct verb *v, struct scene *s);

/* What get_job() and close_jobs() call the state of a job. */
const char *told_state(const struct model_job *job);

#endif
