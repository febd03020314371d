/* SPDX-License-Identifier: MIT */
/*
 * How long it takes until all is well again: from a moment at which it could be, until a process
 * begins its next job. Only what no outage of the server disturbs is measured.
 */
#include "verdict.h"
#include "watcher.h"

enum { PATIENCE_S = 60, NEWS_MS = 1000 };

/* When each process began a job, by process and time. */
struct starts {
    struct start {
        uint64_t ns, key;
    } * at;
    size_t from[PROCS_MAX + 1];
};

static bool
is_sign_of_life(const struct record *r)
{
    return (r->op == OP_START && (r->mode & MODE_ZOMBIE) == 0) ||
           (r->op == OP_INSERT && r->phase == PHASE_OK);
}

static bool
collect(const struct history *h, struct starts *s)
{
    static size_t next[PROCS_MAX + 1];

    for (size_t i = 0; i < h->n; i++)
        if (is_sign_of_life(&h->records[i]))
            s->from[h->records[i].proc % PROCS_MAX + 1]++;
    for (size_t i = 1; i <= PROCS_MAX; i++)
        s->from[i] += s->from[i - 1];
    s->at = malloc((s->from[PROCS_MAX] + 1) * sizeof *s->at);
    if (s->at == NULL)
        return false;
    memcpy(next, s->from, sizeof next);
    for (size_t i = 0; i < h->n; i++)
        if (is_sign_of_life(&h->records[i]))
            s->at[next[h->records[i].proc % PROCS_MAX]++] =
                (struct start){ h->records[i].mono_ns, h->records[i].key };
    return true;
}

/* The first after a moment; NULL: none. */
static const struct start *
next_start(const struct starts *s, uint32_t proc, uint64_t after)
{
    size_t low = s->from[proc % PROCS_MAX], end = s->from[proc % PROCS_MAX + 1], high = end;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (s->at[middle].ns <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end ? &s->at[low] : NULL;
}

/* Something else that stops this process in between. */
static bool
disturbed(const struct history *h, const struct trouble *t, uint32_t proc, uint64_t to_ns)
{
    for (size_t i = 0; i < h->ntroubles && h->troubles[i].from_ns <= to_ns; i++) {
        const struct trouble *o = &h->troubles[i];

        if (o == t || o->to_ns < t->to_ns)
            continue;
        if (stops_everybody(o->fault) || concerns(h, o, proc))
            return true;
    }
    return false;
}

/*
 * Some queues have one producer only: if he is held up, or waits because the backlog of all queues
 * is long, their worker has nothing to do. So there, the job must have been there before.
 */
static bool
had_no_work(const struct history *h, const struct trouble *t, const struct start *start)
{
    const struct insert *insert = insert_of(h, start->key);

    return (key_queue(start->key) == QUEUE_FIFO || key_queue(start->key) == QUEUE_PROGRAMS) &&
           (insert == NULL || insert->done_ns > t->to_ns + NEWS_MS * 1000000ull);
}

static void
measure(const struct history *h, struct verdict *v, const struct starts *s, const struct trouble *t,
        uint32_t proc)
{
    const struct start *next = next_start(s, proc, t->to_ns);

    if (next == NULL || next->ns - t->to_ns > PATIENCE_S * 1000000000ull ||
        disturbed(h, t, proc, next->ns) || had_no_work(h, t, next))
        return;
    figure_add(&v->recovery[t->fault], (double)(next->ns - t->to_ns) / 1e6);
}

static void
measure_next_term(const struct history *h, struct verdict *v, const struct trouble *t)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct record *r = &h->records[i];

        if (r->op != OP_TERM || r->mono_ns <= t->from_ns)
            continue;
        if (!stop_between(h, t->from_ns, r->mono_ns))
            figure_add(&v->leader, (double)(r->mono_ns - t->from_ns) / 1e6);
        return;
    }
}

/* Anything that may cost the leader its term, or us the sight of it. */
static bool
leader_disturbed(const struct history *h, const struct trouble *t, uint64_t to_ns)
{
    for (size_t i = 0; i < h->ntroubles && h->troubles[i].from_ns <= to_ns; i++) {
        const struct trouble *o = &h->troubles[i];

        if (o != t && o->to_ns >= t->to_ns && o->fault != FAULT_CLOCK &&
            o->fault != FAULT_NEIGHBOUR && o->fault != FAULT_SNAPSHOT && o->fault != FAULT_WRITER)
            return true;
    }
    return false;
}

/* From the end of a fault that stopped the leader as well, until it, or another, is seen to lead.
 */
static void
measure_leading(const struct history *h, struct verdict *v, const struct trouble *t)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct record *r = &h->records[i];

        if (r->op != OP_SAMPLE || r->res != SAMPLE_LEAD || r->mono_ns <= t->to_ns)
            continue;
        if (!leader_disturbed(h, t, r->mono_ns))
            figure_add(&v->led[t->fault], (double)(r->mono_ns - t->to_ns) / 1e6);
        return;
    }
}

/* Every worker that was there before a fault and after it. */
static void
measure_all(const struct history *h, struct verdict *v, const struct starts *s,
            const struct trouble *t)
{
    for (uint32_t proc = 0; proc < PROCS_MAX; proc++)
        if (h->role[proc] == ROLE_WORKER && h->started_ns[proc] != 0 &&
            h->started_ns[proc] < t->from_ns &&
            (h->ended_ns[proc] == 0 || h->ended_ns[proc] > t->to_ns))
            measure(h, v, s, t, proc);
}

static void
measure_trouble(const struct history *h, struct verdict *v, const struct starts *s,
                const struct trouble *t)
{
    struct trouble step = *t;

    if (t->fault == FAULT_KILL_LEADER)
        measure_next_term(h, v, t);
    if (t->to_ns == UINT64_MAX)
        return;
    if (t->fault == FAULT_HOLE || t->fault == FAULT_PAUSE || t->fault == FAULT_FREEZE ||
        t->fault == FAULT_STARVED)
        measure(h, v, s, t, t->proc);
    if (t->fault == FAULT_SERVER_CLOCK) { /* its beginning stops nobody either */
        step.to_ns = t->from_ns;
        measure_all(h, v, s, &step);
        measure_leading(h, v, &step);
    }
    if ((stops_everybody(t->fault) && t->fault != FAULT_CONNECTIONS) ||
        t->fault == FAULT_SERVER_CLOCK) {
        measure_all(h, v, s, t);
        measure_leading(h, v, t);
    }
}

void
check_recovery(const struct history *h, struct verdict *v)
{
    static struct starts s;

    if (!collect(h, &s))
        return;
    for (size_t i = 0; i < h->ntroubles; i++)
        measure_trouble(h, v, &s, &h->troubles[i]);
    free(s.at);
}
