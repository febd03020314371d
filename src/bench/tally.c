/* SPDX-License-Identifier: MIT */
#include "bench/tally.h"

#include <sys/mman.h>

static const size_t marks_size = (size_t)TALLY_MAX * sizeof(struct mark);

awa_status
tally_init(struct tally *t, awa_error *err)
{
    void *marks = mmap(NULL, marks_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (marks == MAP_FAILED)
        return awa__fail(err, AWA_ENOMEM, "bench: no room for the tally: %m");
    *t = (struct tally){ .marks = marks };
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->room, NULL);
    return AWA_OK;
}

void
tally_done(struct tally *t)
{
    if (t->marks == NULL)
        return;
    (void)munmap(t->marks, marks_size);
    t->marks = NULL;
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->room);
}

static bool
has_room(struct tally *t, int64_t n, int64_t depth)
{
    return depth == 0 || t->issued + n - atomic_load(&t->durable) <= depth;
}

int64_t
tally_take(struct tally *t, int64_t n, int64_t limit, int64_t depth, int64_t *ret_first)
{
    int64_t most = limit > 0 ? limit : TALLY_MAX;

    pthread_mutex_lock(&t->lock);
    while (!t->closed && !has_room(t, n, depth))
        pthread_cond_wait(&t->room, &t->lock);
    if (n > most - t->issued)
        n = most - t->issued;
    if (t->closed)
        n = 0;
    *ret_first = t->issued;
    t->issued += n;
    pthread_mutex_unlock(&t->lock);
    return n;
}

void
tally_close(struct tally *t)
{
    pthread_mutex_lock(&t->lock);
    t->closed = true;
    pthread_cond_broadcast(&t->room);
    pthread_mutex_unlock(&t->lock);
}

bool
tally_is_closed(struct tally *t)
{
    bool closed;

    pthread_mutex_lock(&t->lock);
    closed = t->closed;
    pthread_mutex_unlock(&t->lock);
    return closed;
}

void
tally_sent(struct tally *t, int64_t first, int64_t n, int64_t us)
{
    for (int64_t i = first; i < first + n; i++)
        atomic_store_explicit(&t->marks[i].sent_us, us, memory_order_relaxed);
}

void
tally_committed(struct tally *t, int64_t first, int64_t n)
{
    for (int64_t i = first; i < first + n; i++)
        atomic_store_explicit(&t->marks[i].committed, true, memory_order_relaxed);
    atomic_fetch_add(&t->committed, n);
}

/* Microseconds since the job was sent, plus 1. */
static uint32_t
since_sent(struct mark *m, int64_t us)
{
    int64_t passed = us - atomic_load_explicit(&m->sent_us, memory_order_relaxed);

    return passed < 0 ? 1 : passed >= UINT32_MAX ? UINT32_MAX : (uint32_t)passed + 1;
}

void
tally_ran(struct tally *t, int64_t number, int64_t us)
{
    struct mark *m = &t->marks[number];

    if (atomic_fetch_add_explicit(&m->runs, 1, memory_order_relaxed) == 0)
        atomic_store_explicit(&m->pickup_us, since_sent(m, us), memory_order_relaxed);
    atomic_fetch_add_explicit(&t->ran, 1, memory_order_relaxed);
}

void
tally_ended(struct tally *t, int64_t number, int64_t us)
{
    struct mark *m = &t->marks[number];

    atomic_store_explicit(&m->e2e_us, since_sent(m, us), memory_order_relaxed);
}

void
tally_durable(struct tally *t, int64_t total)
{
    if (atomic_exchange(&t->durable, total) == total)
        return;
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->room);
    pthread_mutex_unlock(&t->lock);
}

void
tally_resend(struct tally *t, int64_t us)
{
    tally_sent(t, 0, t->issued, us);
}

struct tally_balance
tally_balance(struct tally *t)
{
    struct tally_balance b = { 0 };

    for (int64_t i = 0; i < t->issued; i++) {
        int due = atomic_load_explicit(&t->marks[i].committed, memory_order_relaxed);
        int runs = atomic_load_explicit(&t->marks[i].runs, memory_order_relaxed);

        if (runs < due)
            b.lost++;
        else
            b.duplicated += runs - due;
    }
    return b;
}

static void
add_time(struct samples *s, atomic_uint_least32_t *us)
{
    uint32_t plus_1 = atomic_load_explicit(us, memory_order_relaxed);

    if (plus_1 > 0)
        samples_add(s, plus_1 - 1);
}

void
tally_latencies(struct tally *t, int64_t from, int64_t to, struct samples *pickup,
                struct samples *e2e)
{
    for (int64_t i = 0; i < t->issued; i++) {
        int64_t sent = atomic_load_explicit(&t->marks[i].sent_us, memory_order_relaxed);

        if (sent < from || sent >= to)
            continue;
        add_time(pickup, &t->marks[i].pickup_us);
        add_time(e2e, &t->marks[i].e2e_us);
    }
}
