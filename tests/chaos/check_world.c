/* SPDX-License-Identifier: MIT */
/* What was seen from outside: counts, waits, sizes, memory, and whether everything came to rest. */
#include "verdict.h"
#include "watcher.h"

enum {
    DRAIN_MAX_MS = 90000,
    WARM_UP_S = 20,
    GROWTH_KB = 12 * 1024,
    GROWTH_FILES = 8,
    NOTIFY_MAX = 10000, /* millionths */
    SERIES_MAX = 4000,
};

static const char *const sample_names[] = {
#define X(name, text) text,
    SAMPLE_MAP(X)
#undef X
};

static const char *const conclusion_names[] = {
#define X(name, text) text,
    CONCLUSION_MAP(X)
#undef X
};

const char *
sample_name(enum sample what)
{
    return sample_names[what];
}

/*
 * Somebody who cannot move may hold a lock for long; and when the server's clock is set forward,
 * all that wait seem to have waited for a minute.
 */
static bool
held_up(const struct history *h, uint64_t at_ns)
{
    uint64_t before = at_ns - 5000000000ull;

    for (size_t i = 0; i < h->ntroubles && h->troubles[i].from_ns <= at_ns; i++) {
        const struct trouble *t = &h->troubles[i];

        if ((t->fault == FAULT_PAUSE || t->fault == FAULT_FREEZE || t->fault == FAULT_HOLE ||
             t->fault == FAULT_DELAY || t->fault == FAULT_DISK || t->fault == FAULT_STALL ||
             t->fault == FAULT_LOCKED) &&
            t->to_ns >= before)
            return true;
        if (t->fault == FAULT_SERVER_CLOCK &&
            (t->from_ns >= before || (t->to_ns >= before && t->to_ns <= at_ns)))
            return true;
    }
    return false;
}

static void
read_sample(const struct history *h, struct verdict *v, const struct record *r)
{
    bool bad = r->phase == PHASE_FAIL;

    v->recounts += r->res == SAMPLE_COUNTS;
    if (bad && (r->res == SAMPLE_COUNTS || r->res == SAMPLE_TWINS))
        break_rule(v, RULE_COUNTS, "%s, at %llu ms", sample_name(r->res),
                   (unsigned long long)(r->mono_ns / 1000000));
    if (bad && r->res == SAMPLE_UNIQUE)
        break_rule(v, RULE_UNIQUE, "%s", sample_name(r->res));
    if (bad && r->res == SAMPLE_WAITS && !held_up(h, r->mono_ns))
        break_rule(v, RULE_PROGRESS, "%s, at %llu ms", sample_name(r->res),
                   (unsigned long long)(r->mono_ns / 1000000));
    if (r->res == SAMPLE_BYTES && r->job > v->bytes_max)
        v->bytes_max = r->job;
    if (r->res == SAMPLE_DEAD && r->job > v->dead_max)
        v->dead_max = r->job;
    if (r->res == SAMPLE_SESSIONS && r->job > v->sessions_max)
        v->sessions_max = r->job;
    if (r->res == SAMPLE_RECOUNT_MS && r->job > v->recount_max_ms)
        v->recount_max_ms = r->job;
    if (r->res == SAMPLE_NOTIFY && r->job > NOTIFY_MAX)
        break_rule(v, RULE_GROWTH, "the notification queue is filled by %llu millionths",
                   (unsigned long long)r->job);
}

static void
read_conclusion(struct verdict *v, const struct record *r)
{
    if (r->res == CONCLUSION_DRAINED) {
        v->drain_ms = r->job;
        if (r->phase == PHASE_OK && r->job > DRAIN_MAX_MS)
            break_rule(v, RULE_PROGRESS, "it took %llu ms to come to rest",
                       (unsigned long long)r->job);
    }
    if (r->phase == PHASE_FAIL)
        break_rule(v, r->res == CONCLUSION_CRASHES ? RULE_LOG : RULE_PROGRESS, "%s (%llu)",
                   conclusion_names[r->res], (unsigned long long)r->job);
}

/* ---- Growth ------------------------------------------------------------------------------ */

static int
ascending(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static uint64_t
median(uint64_t *values, size_t n)
{
    qsort(values, n, sizeof *values, ascending);
    return values[n / 2];
}

/* Of the first worker, which lives for the whole run: the first quarter against the last. */
static void
compare_ends(const struct history *h, struct verdict *v, enum sample what, uint64_t allowed,
             uint64_t *ret_first, uint64_t *ret_last)
{
    static uint64_t values[SERIES_MAX];
    size_t n = 0;
    uint32_t first = 0;

    for (size_t i = 0; i < h->n && n < SERIES_MAX; i++) {
        const struct record *r = &h->records[i];

        if (r->op != OP_SAMPLE || r->res != what)
            continue;
        first = first == 0 ? (uint32_t)r->key : first;
        if (r->key == first &&
            r->mono_ns - h->started_ns[first % PROCS_MAX] > WARM_UP_S * 1000000000ull)
            values[n++] = r->job;
    }
    if (n < 12)
        return;
    *ret_first = median(values, n / 4);
    *ret_last = median(values + n - n / 4, n / 4);
    if (*ret_last > *ret_first + allowed)
        break_rule(v, RULE_GROWTH, "%s: %llu at first, %llu in the end", sample_name(what),
                   (unsigned long long)*ret_first, (unsigned long long)*ret_last);
}

void
check_world(const struct history *h, struct verdict *v)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->records[i].op == OP_SAMPLE)
            read_sample(h, v, &h->records[i]);
        else if (h->records[i].op == OP_CHECK)
            read_conclusion(v, &h->records[i]);
        v->terms += h->records[i].op == OP_TERM;
    }
    compare_ends(h, v, SAMPLE_RSS, GROWTH_KB, &v->rss_first_kb, &v->rss_last_kb);
    compare_ends(h, v, SAMPLE_FDS, GROWTH_FILES, &v->fds_first, &v->fds_last);
}
