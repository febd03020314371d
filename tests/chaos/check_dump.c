/* SPDX-License-Identifier: MIT */
/*
 * What is in a dump: every job whose insertion was answered before its snapshot, and that nobody
 * can have ended by then, waits or runs in it, once; nothing is in it twice, and nothing that was
 * rolled back. Not asked of the hopeless, which may end without a word.
 */
#include "verdict.h"

struct dumped {
    const struct record **at; /* by key */
    size_t n;
};

static int
by_key(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a,
                        *y = *(const struct record *const *)b;

    return (x->key > y->key) - (x->key < y->key);
}

static bool
collect(const struct history *h, uint32_t proc, struct dumped *d)
{
    d->at = malloc((h->n + 1) * sizeof *d->at);
    if (d->at == NULL)
        return false;
    for (size_t i = 0; i < h->n; i++)
        if (h->records[i].op == OP_DUMPED && h->records[i].proc == proc)
            d->at[d->n++] = &h->records[i];
    qsort(d->at, d->n, sizeof *d->at, by_key);
    return true;
}

/* An end is written down before the engine is told of it. */
static bool
may_have_ended(const struct record *r, uint64_t by_ns)
{
    if (r->mono_ns > by_ns)
        return false;
    return r->op == OP_OPERATE || (r->op == OP_END && (r->res == AWA_COMPLETE ||
                                                       r->res == AWA_FAIL || r->res == AWA_CANCEL));
}

static void
judge_key(struct verdict *v, const struct record *dump, uint64_t key, bool rolled_back,
          bool must_be, size_t n, size_t alive)
{
    const char *wrong = NULL;

    if (n > 1)
        wrong = "is in it twice";
    else if (rolled_back && n > 0)
        wrong = "was refused or rolled back, and is in it";
    else if (must_be && n == 0)
        wrong = "is missing";
    else if (must_be && alive == 0)
        wrong = "has ended in it";
    if (wrong != NULL)
        break_rule(v, RULE_DUMP, "dump %u of %llu to %llu ms: key %llx %s", dump->proc,
                   (unsigned long long)(dump->claim / 1000000),
                   (unsigned long long)(dump->position / 1000000), (unsigned long long)key, wrong);
}

static void
judge(const struct history *h, struct verdict *v, const struct record *dump, const struct dumped *d)
{
    size_t event = 0, at = 0;

    for (size_t i = 0; i < h->ninserts; i++)
        for (uint32_t k = 0; k < h->inserts[i].n; k++) {
            const struct insert *insert = &h->inserts[i];
            uint64_t key = insert->key + k;
            size_t n = 0, alive = 0;
            bool ended = key_kind(key) == KIND_HOPELESS;

            while (event < h->nof_keys && h->of_keys[event]->key < key)
                event++;
            for (; event < h->nof_keys && h->of_keys[event]->key == key; event++)
                ended |= may_have_ended(h->of_keys[event], dump->position);
            while (at < d->n && d->at[at]->key < key)
                at++;
            for (; at < d->n && d->at[at]->key == key; at++, n++)
                alive += d->at[at]->res;
            judge_key(v, dump, key, insert->phase == PHASE_FAIL,
                      insert->phase == PHASE_OK && insert->done_ns < dump->claim && !ended, n,
                      alive);
            v->dumped += !ended && n > 0;
        }
}

void
check_dump(const struct history *h, struct verdict *v)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct record *r = &h->records[i];
        struct dumped d = { 0 };

        if (r->op != OP_DUMP || r->phase != PHASE_OK)
            continue;
        if (collect(h, r->proc, &d))
            judge(h, v, r, &d);
        free(d.at);
        v->dumps++;
    }
}
