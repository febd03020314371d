/* SPDX-License-Identifier: MIT */
#include "bench/producers.h"

#include <errno.h>

#include "bench/clock.h"
#include "bench/payload.h"

enum { NAP_US = 50000 }; /* the longest sleep between two looks at the tally */

struct producer {
    struct producers *all;
    int64_t index;
    PGconn *conn;
    awa_job_options *jobs; /* of one batch; their texts lie in payloads */
    char *payloads;
    struct samples insert, late;
    int64_t vain; /* hundredths of a transaction that are to be rolled back */
    pthread_t thread;
    bool started;
    awa_status status;
    awa_error error;
};

struct producers {
    struct feed feed;
    int64_t began_us;
    atomic_bool measure, failed;
    int64_t n;
    struct producer each[];
};

/* ---- One transaction --------------------------------------------------------------------- */

/* Gives the jobs of the batch their numbers. */
static void
number(struct producer *p, int64_t first, int64_t n)
{
    size_t stride = (size_t)p->all->feed.plan->payload_bytes + 1;

    for (int64_t i = 0; i < n; i++)
        payload_number(p->payloads + (size_t)i * stride, first + i);
}

static awa_status
insert_by_copy(struct producer *p, int64_t first, int64_t n, awa_error *err)
{
    awa_status s = AWA_OK;

    if (!p->all->feed.pickup)
        return awa_jobs_copy(p->conn, p->jobs, (size_t)n, NULL, err);
    s = awa__exec(p->conn, "bench", "BEGIN", err);
    if (s == AWA_OK)
        s = awa_jobs_copy(p->conn, p->jobs, (size_t)n, NULL, err);
    if (s != AWA_OK)
        return s;
    tally_sent(p->all->feed.tally, first, n, clock_us());
    return awa__exec(p->conn, "bench", "COMMIT", err);
}

/* Inserts the jobs by the plan's door, in a transaction that is then rolled back. */
static awa_status
insert_in_vain(struct producer *p, int64_t n, awa_error *err)
{
    enum door door = p->all->feed.plan->door;
    awa_status s = awa__exec(p->conn, "bench", "BEGIN", err);

    if (s == AWA_OK && door == DOOR_COPY)
        s = awa_jobs_copy(p->conn, p->jobs, (size_t)n, NULL, err);
    if (s == AWA_OK && door == DOOR_SQL)
        s = awa_jobs_insert(p->conn, p->jobs, (size_t)n, NULL, err);
    for (int64_t i = 0; i < n && s == AWA_OK && door == DOOR_ONE; i++)
        s = awa_job_insert(p->conn, &p->jobs[i], NULL, err);
    return s == AWA_OK ? awa__exec(p->conn, "bench", "ROLLBACK", err) : s;
}

/* Rolls back the given share of all transactions, spread evenly. */
static awa_status
insert_some_in_vain(struct producer *p, int64_t n, awa_error *err)
{
    int64_t percent = p->all->feed.plan->rollback_percent;
    awa_status s = AWA_OK;

    for (p->vain += percent; p->vain >= 100 - percent && percent > 0 && s == AWA_OK;
         p->vain -= 100 - percent)
        s = insert_in_vain(p, n, err);
    return s;
}

/* Inserts by one statement, which commits by itself. */
static awa_status
insert_by_sql(struct producer *p, int64_t first, int64_t n, awa_error *err)
{
    tally_sent(p->all->feed.tally, first, n, clock_us());
    return awa_jobs_insert(p->conn, p->jobs, (size_t)n, NULL, err);
}

static awa_status
insert_one_by_one(struct producer *p, int64_t first, int64_t n, awa_error *err)
{
    awa_status s = AWA_OK;

    if (n > 1)
        s = awa__exec(p->conn, "bench", "BEGIN", err);
    else
        tally_sent(p->all->feed.tally, first, n, clock_us());
    for (int64_t i = 0; i < n && s == AWA_OK; i++)
        s = awa_job_insert(p->conn, &p->jobs[i], NULL, err);
    if (s != AWA_OK || n == 1)
        return s;
    tally_sent(p->all->feed.tally, first, n, clock_us());
    return awa__exec(p->conn, "bench", "COMMIT", err);
}

static awa_status
insert(struct producer *p, int64_t first, int64_t n, awa_error *err)
{
    static awa_status (*const doors[])(struct producer *, int64_t, int64_t, awa_error *) = {
        [DOOR_COPY] = insert_by_copy,
        [DOOR_SQL] = insert_by_sql,
        [DOOR_ONE] = insert_one_by_one,
    };
    int64_t began;
    awa_status s;

    number(p, first, n);
    s = insert_some_in_vain(p, n, err);
    if (s != AWA_OK)
        return s;
    began = clock_us();
    s = doors[p->all->feed.plan->door](p, first, n, err);
    if (s != AWA_OK)
        return s;
    tally_committed(p->all->feed.tally, first, n);
    if (atomic_load(&p->all->measure))
        samples_add(&p->insert, clock_us() - began);
    return AWA_OK;
}

/* ---- The thread -------------------------------------------------------------------------- */

/* At a given rate: waits for the time of the k-th batch, unless it has passed. */
static void
wait_for_turn(struct producer *p, int64_t k)
{
    const struct feed *f = &p->all->feed;
    double batch_us = 1e6 * (double)f->plan->batch / (double)f->rate;
    int64_t turn = p->all->began_us + (int64_t)((double)(k * p->all->n + p->index) * batch_us);
    int64_t now;

    while ((now = clock_us()) < turn && !tally_is_closed(f->tally))
        clock_sleep_until(turn - now < NAP_US ? turn : now + NAP_US);
    if (atomic_load(&p->all->measure))
        samples_add(&p->late, now - turn);
}

static awa_status
produce(struct producer *p, awa_error *err)
{
    const struct feed *f = &p->all->feed;

    for (int64_t k = 0;; k++) {
        int64_t first, n;
        awa_status s;

        if (f->rate > 0)
            wait_for_turn(p, k);
        n = tally_take(f->tally, f->plan->batch, f->limit, f->depth, &first);
        if (n == 0 && f->limit == 0 && !tally_is_closed(f->tally))
            return awa__fail(err, AWA_EBUSY, "bench: more than %d jobs in one round", TALLY_MAX);
        if (n == 0)
            return AWA_OK;
        s = insert(p, first, n, err);
        if (s != AWA_OK)
            return s;
    }
}

static void *
producer_thread(void *arg)
{
    struct producer *p = arg;

    p->status = produce(p, &p->error);
    if (p->status != AWA_OK) {
        atomic_store(&p->all->failed, true);
        tally_close(p->all->feed.tally);
    }
    PQfinish(TAKE(p->conn)); /* so the statistics get its numbers */
    return NULL;
}

/* ---- From outside ------------------------------------------------------------------------ */

static awa_status
prepare(struct producer *p, awa_error *err)
{
    const struct plan *plan = p->all->feed.plan;
    size_t batch = (size_t)plan->batch;
    size_t len = (size_t)plan->payload_bytes;

    p->jobs = calloc(batch, sizeof *p->jobs);
    p->payloads = calloc(batch, len + 1);
    if (p->jobs == NULL || p->payloads == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    for (size_t i = 0; i < batch; i++) {
        char *payload = p->payloads + i * (len + 1);

        payload_init(payload, len);
        p->jobs[i] = (awa_job_options){ .size = sizeof(awa_job_options),
                                        .kind = "bench",
                                        .args_json = payload };
    }
    return awa_connect(p->all->feed.conninfo, &p->conn, err);
}

static awa_status
start_all(struct producers *p, awa_error *err)
{
    p->began_us = clock_us();
    for (int64_t i = 0; i < p->n; i++) {
        errno = pthread_create(&p->each[i].thread, NULL, producer_thread, &p->each[i]);
        if (errno != 0)
            return awa__fail(err, AWA_ESYS, "bench: no thread: %m");
        p->each[i].started = true;
    }
    return AWA_OK;
}

awa_status
producers_start(const struct feed *feed, struct producers **ret_producers, awa_error *err)
{
    int64_t n = feed->plan->producers;
    AUTO(producers) struct producers *p = calloc(1, sizeof *p + (size_t)n * sizeof p->each[0]);
    awa_status s = AWA_OK;

    if (p == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    p->feed = *feed;
    p->n = n;
    for (int64_t i = 0; i < n && s == AWA_OK; i++) {
        p->each[i].all = p;
        p->each[i].index = i;
        s = prepare(&p->each[i], err);
    }
    if (s == AWA_OK)
        s = start_all(p, err);
    if (s != AWA_OK)
        return s;
    *ret_producers = TAKE(p);
    return AWA_OK;
}

bool
producers_failed(struct producers *p)
{
    return atomic_load(&p->failed);
}

void
producers_measure(struct producers *p, bool on)
{
    atomic_store(&p->measure, on);
}

static void
join_all(struct producers *p)
{
    for (int64_t i = 0; i < p->n; i++)
        if (p->each[i].started) {
            pthread_join(p->each[i].thread, NULL);
            p->each[i].started = false;
        }
}

awa_status
producers_join(struct producers *p, awa_error *err)
{
    join_all(p);
    for (int64_t i = 0; i < p->n; i++)
        if (p->each[i].status != AWA_OK) {
            *err = p->each[i].error;
            return p->each[i].status;
        }
    return AWA_OK;
}

void
producers_times(const struct producers *p, struct samples *insert, struct samples *late)
{
    for (int64_t i = 0; i < p->n; i++) {
        samples_join(insert, &p->each[i].insert);
        samples_join(late, &p->each[i].late);
    }
}

struct producers *
producers_free(struct producers *p)
{
    if (p == NULL)
        return NULL;
    tally_close(p->feed.tally);
    join_all(p);
    for (int64_t i = 0; i < p->n; i++) {
        PQfinish(p->each[i].conn);
        free(p->each[i].jobs);
        free(p->each[i].payloads);
        samples_done(&p->each[i].insert);
        samples_done(&p->each[i].late);
    }
    free(p);
    return NULL;
}
