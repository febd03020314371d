/* SPDX-License-Identifier: MIT */
/*
 * A worker of libawa with a handler for each kind. Its handlers write down when they begin and
 * how they end; what became of that end only the database knows. Arguments: threads, queues.
 */
#include <poll.h>
#include <signal.h>

#include "clock.h"
#include "process.h"
#include "worker/core.h"
#include "worker/attempt.h"

enum { STOP_MS = 25000 };

static struct process *self;

/* Sleeps; true if the attempt should end. deaf: does not listen. */
static bool
work_for(awa_attempt *job, int ms, bool deaf)
{
    struct pollfd cancelled = { .fd = deaf ? -1 : awa_attempt_cancel_fd(job), .events = POLLIN };

    return poll(&cancelled, 1, ms) > 0;
}

static awa_outcome
retry(awa_attempt *job, int delay_ms, const char *why)
{
    awa__ignore(awa_attempt_set_error(job, why));
    awa_attempt_set_delay(job, delay_ms);
    return AWA_RETRY;
}

static awa_outcome
complete(awa_attempt *job, uint64_t key)
{
    char json[40];
    size_t n = (size_t)snprintf(json, sizeof json, "{\"k\": %llu}", (unsigned long long)key);

    return awa_attempt_set_output(job, json, n) == AWA_OK ? AWA_COMPLETE
                                                          : retry(job, 100, "no room");
}

static awa_outcome
run_effect(awa_attempt *job, uint64_t key)
{
    char k[24], claim[24], pos[24], worker[24];
    PGconn *conn;
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (awa_attempt_transaction(job, &conn, &err) != AWA_OK)
        return retry(job, 200, err.message);
    snprintf(k, sizeof k, "%llu", (unsigned long long)key);
    snprintf(claim, sizeof claim, "%lld", (long long)awa_attempt_run_lease(job));
    snprintf(pos, sizeof pos, "%lld", (long long)awa_attempt_position(job));
    snprintf(worker, sizeof worker, "%lld", (long long)job->batch->identity->id);
    res = query(conn, "INSERT INTO effects VALUES ($1::bigint, $2::bigint, $3::bigint, $4::bigint)",
                4, (const char *[]){ k, claim, pos, worker });
    return succeeded(res) ? AWA_COMPLETE : retry(job, 200, "no effect");
}

static awa_outcome
run(awa_attempt *job, uint64_t key)
{
    switch (key_kind(key)) {
    case KIND_SHORT:
        return work_for(job, 1 + (int)(key_hash(key) % 50), true) ? AWA_RETRY : complete(job, key);
    case KIND_LONG:
        return work_for(job, 2000, false) ? retry(job, 100, "told to end") : complete(job, key);
    case KIND_DEAF:
        (void)work_for(job, 3000, true);
        return complete(job, key);
    case KIND_FAILS:
        if ((uint64_t)awa_attempt_number(job) <= key_fails(key))
            return retry(job, 100, "fails at first");
        return AWA_COMPLETE;
    case KIND_SNOOZES:
        awa_attempt_set_delay(job, 100);
        return mix((uint64_t)awa_attempt_run_lease(job) ^ key) % 2 != 0 ? AWA_SNOOZE : AWA_COMPLETE;
    case KIND_EFFECT:
        return run_effect(job, key);
    case KIND_HOPELESS:
        return retry(job, 50, "hopeless");
    default:
        return AWA_COMPLETE;
    }
}

static awa_outcome
handle(awa_attempt *job, void *userdata)
{
    bool good;
    uint64_t key = key_read(awa_attempt_args(job, NULL), &good);
    struct record r = {
        .op = OP_START,
        .phase = PHASE_OK,
        .res = !good,
        .lane = key_queue(key),
        .key = key,
        .job = (uint64_t)awa_attempt_id(job),
        .claim = (uint64_t)awa_attempt_run_lease(job),
        .position = (uint64_t)awa_attempt_position(job),
        .hash = hash_of_worker((uint64_t)job->batch->identity->id),
        .aux = (uint32_t)awa_attempt_number(job),
    };
    awa_outcome outcome;

    (void)userdata;
    record_write(r);
    outcome = run(job, key);
    r.op = OP_END;
    r.res = (uint8_t)outcome;
    record_write(r);
    atomic_fetch_add(&self->board->ended, 1);
    return outcome;
}

static void
say(void *userdata, const char *line)
{
    (void)userdata;
    fprintf(stderr, "%llu worker %u: %s\n", (unsigned long long)(mono_ns() / 1000000), self->proc,
            line);
}

static void
post_stats(awa_worker *worker)
{
    awa_worker_stats stats = { .size = sizeof stats };
    struct seat *seat = &self->board->seats[self->proc % PROCS_MAX];

    awa_worker_get_stats(worker, &stats);
    atomic_store(&seat->completed, stats.completed);
    atomic_store(&seat->stale, stats.stale);
    atomic_store(&seat->reconnects, stats.reconnects);
    atomic_store(&seat->running, stats.running);
}

/* While the server is away a worker cannot begin; a service manager would start it again. */
static awa_worker *
begin(struct process *p, char *name)
{
    static const awa_kind kinds[] = { { .kind = NULL, .handler = handle } };
    awa_worker *worker = NULL;
    awa_error err;

    while (!process_ends()) {
        awa_status s = awa_worker_new(
            AWA_WORKER(.conninfo = p->dsn, .name = name, .queues = (const char *const *)p->argv + 1,
                       .nqueues = (size_t)p->argc - 1, .kinds = kinds, .nkinds = 1,
                       .threads = strtoll(p->argv[0], NULL, 10), .log = say),
            &worker, &err);

        if (s == AWA_OK)
            s = awa_worker_start(worker, &err);
        if (s == AWA_OK)
            return worker;
        worker = awa_worker_free(worker);
        sleep_ms(200);
    }
    return NULL;
}

int
worker_main(struct process *p)
{
    char name[24];
    awa_worker *worker;
    awa_error err;
    awa_status s = AWA_OK;

    if (p->argc < 2)
        return 2;
    self = p;
    fake_clock_obey();
    snprintf(name, sizeof name, "c%u", p->proc);
    worker = begin(p, name);
    while (worker != NULL && !process_ends()) {
        sleep_ms(500);
        post_stats(worker);
    }
    if (worker != NULL) {
        s = awa_worker_stop(worker, STOP_MS, &err);
        post_stats(worker);
        if (s != AWA_OK)
            say(NULL, err.message);
        (void)awa_worker_free(worker);
    }
    return s == AWA_OK ? 0 : 1;
}
