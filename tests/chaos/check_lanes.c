/* SPDX-License-Identifier: MIT */
/*
 * Lane by lane: jobs are claimed in the order of their positions. A job whose transaction commits
 * late leaves a gap, and is claimed late; but within a bound. So a job was overtaken if another one
 * of its lane, at a higher position, was claimed before it, although that one's insertion began
 * only when this one had been committed for longer than the bound.
 *
 * Only first attempts of jobs that were due at once are looked at, and that no operator had touched
 * before (who cancels a job and retries it draws another position), and that were not given back by
 * a worker which had lost the answer to its claim (they were put anew behind later jobs of their
 * producer), for only of them it is known when their positions were drawn; and no order is expected
 * across a time in which nobody could work, for the bound is one of the engine's working time.
 */
#include "verdict.h"

enum {
    WINDOW = 20000,       /* entries of a lane that are looked back at */
    BOUND_MS = 2000,      /* where gaps are few: one look into the gaps, a second at most */
    BOUND_GAPS_MS = 25000 /* where they may have moved to lane_gaps: and a new leader */
};

struct entry {
    uint64_t position, claim, key, invoke_ns, done_ns, start_ns;
};

static int
by_lane_and_claim(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->position >> 44 != y->position >> 44)
        return x->position >> 44 < y->position >> 44 ? -1 : 1;
    if (x->claim != y->claim)
        return x->claim < y->claim ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

static int
by_lane_and_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->position >> 44 != y->position >> 44)
        return x->position >> 44 < y->position >> 44 ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

/* Leaves out what lies behind a later job of its producer, who inserts one after another. */
static size_t
leave_given_back(struct entry *entries, size_t n)
{
    size_t kept = n;

    qsort(entries, n, sizeof *entries, by_lane_and_key);
    for (size_t i = n; i-- > 0;) {
        const struct entry *next = kept < n ? &entries[kept] : NULL;

        if (next == NULL || next->position >> 44 != entries[i].position >> 44 ||
            key_proc(next->key) != key_proc(entries[i].key) || next->position > entries[i].position)
            entries[--kept] = entries[i];
    }
    memmove(entries, entries + kept, (n - kept) * sizeof *entries);
    return n - kept;
}

static size_t
collect(const struct history *h, struct entry *entries)
{
    size_t n = 0;
    uint64_t last_key = 0;

    for (size_t i = 0; i < h->nof_keys; i++) {
        const struct record *r = h->of_keys[i];
        const struct insert *insert;

        if ((r->op != OP_START && r->op != OP_OPERATE) || r->key == last_key)
            continue;
        last_key = r->key;
        insert = insert_of(h, r->key);
        if (r->op != OP_START || r->aux != 1 || insert == NULL || insert->phase != PHASE_OK ||
            (insert->mode & MODE_DEFERRED) != 0)
            continue;
        entries[n++] = (struct entry){ r->position,       r->claim,        r->key,
                                       insert->invoke_ns, insert->done_ns, r->mono_ns };
    }
    n = leave_given_back(entries, n);
    qsort(entries, n, sizeof *entries, by_lane_and_claim);
    return n;
}

static void
judge(const struct history *h, struct verdict *v, const struct entry *late,
      const struct entry *other)
{
    double ms = ((double)other->invoke_ns - (double)late->done_ns) / 1e6;
    bool few = key_queue(late->key) == QUEUE_FIFO;

    if (ms < (few ? BOUND_MS : BOUND_GAPS_MS) ||
        stop_between(h, late->done_ns,
                     late->start_ns > other->start_ns ? late->start_ns : other->start_ns))
        return;
    break_rule(
        v, RULE_ORDER,
        "key %llx in queue %s: committed %.0f ms before key %llx was begun, claimed after it",
        (unsigned long long)late->key, queue_name(key_queue(late->key)), ms,
        (unsigned long long)other->key);
}

/* One that lies below what was claimed before. */
static void
look_back(const struct history *h, struct verdict *v, const struct entry *entries, size_t i)
{
    const struct entry *late = &entries[i], *worst = NULL;

    for (size_t k = i; k > 0 && i - k < WINDOW; k--) {
        const struct entry *other = &entries[k - 1];

        if (other->position >> 44 != late->position >> 44)
            break;
        if (other->claim < late->claim && other->position > late->position &&
            (worst == NULL || other->invoke_ns > worst->invoke_ns))
            worst = other;
    }
    v->late++;
    if (worst != NULL && worst->invoke_ns > late->done_ns) {
        figure_add(&v->lateness, (double)(worst->invoke_ns - late->done_ns) / 1e6);
        judge(h, v, late, worst);
    }
}

void
check_lanes(const struct history *h, struct verdict *v)
{
    AUTO(free) struct entry *entries = malloc((h->nof_keys + 1) * sizeof *entries);
    size_t n = entries != NULL ? collect(h, entries) : 0;
    uint64_t top = 0;

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && entries[i].position >> 44 != entries[i - 1].position >> 44)
            top = 0;
        if (entries[i].position < top)
            look_back(h, v, entries, i);
        else
            top = entries[i].position;
    }
}
