/* SPDX-License-Identifier: MIT */
/*
 * Unique keys: no job of an accepted insertion may still begin to run after a later insertion of
 * the same key was accepted, and no insertion is refused before another was tried. What is live at
 * one moment the watcher counts.
 */
#include "verdict.h"

struct holder {
    const struct insert *insert;
    uint64_t last_start_ns; /* of its newest attempt */
    bool operated;          /* an operator may have ended or revived it */
};

static int
by_unique_key(const void *a, const void *b)
{
    const struct insert *x = ((const struct holder *)a)->insert,
                        *y = ((const struct holder *)b)->insert;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->invoke_ns > y->invoke_ns) - (x->invoke_ns < y->invoke_ns);
}

/* By binary search: the first event of a key. */
static size_t
find_key(const struct history *h, uint64_t key)
{
    size_t low = 0, high = h->nof_keys;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (h->of_keys[middle]->key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
read_holder(const struct history *h, struct holder *holder)
{
    const struct record *newest = NULL;

    for (size_t i = find_key(h, holder->insert->key);
         i < h->nof_keys && h->of_keys[i]->key == holder->insert->key; i++) {
        const struct record *r = h->of_keys[i];

        holder->operated |= r->op == OP_OPERATE;
        if (r->op == OP_START && (newest == NULL || r->claim > newest->claim))
            newest = r;
    }
    holder->last_start_ns = newest != NULL ? newest->mono_ns : 0;
}

/* The earlier one was taken over while it lived? */
static void
judge_pair(const struct history *h, struct verdict *v, const struct holder *a,
           const struct holder *b)
{
    if (b->insert->phase != PHASE_OK || a->insert->done_ns > b->insert->invoke_ns || a->operated ||
        a->last_start_ns <= b->insert->done_ns ||
        outage_between(h, a->insert->done_ns, a->last_start_ns))
        return;
    break_rule(v, RULE_UNIQUE, "u%u: key %llx began to run after key %llx was accepted",
               a->insert->hash - 1, (unsigned long long)a->insert->key,
               (unsigned long long)b->insert->key);
}

void
check_unique(const struct history *h, struct verdict *v)
{
    AUTO(free) struct holder *holders = calloc(h->ninserts + 1, sizeof *holders);
    const struct holder *last = NULL; /* whose insertion was accepted */
    size_t n = 0;
    bool any = false;

    for (size_t i = 0; i < h->ninserts && holders != NULL; i++)
        if (h->inserts[i].hash != 0)
            holders[n++].insert = &h->inserts[i];
    if (n > 0)
        qsort(holders, n, sizeof *holders, by_unique_key);
    for (size_t i = 0; i < n; i++) {
        const struct insert *insert = holders[i].insert;

        read_holder(h, &holders[i]);
        if (i == 0 || insert->hash != holders[i - 1].insert->hash) {
            any = false;
            last = NULL;
        }
        if (last != NULL)
            judge_pair(h, v, last, &holders[i]);
        if (insert->phase == PHASE_FAIL && insert->res != 0 && !any)
            break_rule(v, RULE_UNIQUE, "u%u: key %llx was refused, but nobody had it",
                       insert->hash - 1, (unsigned long long)insert->key);
        any |= insert->phase == PHASE_OK || insert->phase == PHASE_INFO;
        if (insert->phase == PHASE_OK)
            last = &holders[i];
    }
}
