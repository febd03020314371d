/* SPDX-License-Identifier: MIT */
/* See plan.h. */
#include "bench/plan.h"

#include <errno.h>
#include <string.h>

#include "bench/payload.h"

enum {
    BATCH_USUAL = 1000,
    DEPTH_USUAL = 20000,
    BATCHES_PER_S = 100, /* at a given rate */
    PREFETCH_MAX = 100000,
    BATCH_BYTES_MAX = 256 << 20,
};

static const struct limit {
    const char *name; /* of the option */
    size_t offset;    /* in struct plan */
    int64_t low, high;
} limits[] = {
    { "producers", offsetof(struct plan, producers), 1, 256 },
    { "batch", offsetof(struct plan, batch), 1, 100000 },
    { "payload-bytes", offsetof(struct plan, payload_bytes), PAYLOAD_MIN, PAYLOAD_MAX },
    { "shards", offsetof(struct plan, shards), 1, 64 },
    { "rollback-percent", offsetof(struct plan, rollback_percent), 0, 90 },
    { "workers", offsetof(struct plan, workers), 1, 500 },
    { "threads", offsetof(struct plan, threads), 1, 1024 },
    { "claim-batch", offsetof(struct plan, claim_batch), 1, 10000 },
    { "handler-us", offsetof(struct plan, handler_us), 0, 60000000 },
    { "fail-percent", offsetof(struct plan, fail_percent), 0, 100 },
    { "slot-bytes", offsetof(struct plan, slot_bytes), 8192, (int64_t)1 << 40 },
    { "keep-seconds", offsetof(struct plan, keep_seconds), 1, 86400 * 365 },
    { "seconds", offsetof(struct plan, seconds), 1, 86400 },
    { "warmup", offsetof(struct plan, warmup), 0, 3600 },
    { "jobs", offsetof(struct plan, jobs), 1, 50000000 },
    { "depth", offsetof(struct plan, depth), 1, 10000000 },
    { "rate", offsetof(struct plan, rate), 1, 10000000 },
    { "rows", offsetof(struct plan, rows), 0, 1000000000 },
    { "repeat", offsetof(struct plan, repeat), 1, 1000 },
};

static const struct limit *
find(const char *name)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (strcmp(limits[i].name, name) == 0)
            return &limits[i];
    return NULL;
}

awa_status
plan_set(struct plan *plan, const char *name, int64_t number, awa_error *err)
{
    const struct limit *limit = find(name);

    if (limit == NULL)
        return awa__fail(err, AWA_EINVAL, "--%s: is not a number", name);
    if (number < limit->low || number > limit->high)
        return awa__fail(err, AWA_EINVAL, "--%s: want %lld to %lld, got %lld", name,
                         (long long)limit->low, (long long)limit->high, (long long)number);
    memcpy((char *)plan + limit->offset, &number, sizeof number);
    return AWA_OK;
}

int64_t
plan_get(const struct plan *plan, const char *name)
{
    const struct limit *limit = find(name);
    int64_t number;

    if (limit == NULL)
        return -1;
    memcpy(&number, (const char *)plan + limit->offset, sizeof number);
    return number;
}

awa_status
plan_set_door(struct plan *plan, const char *name, awa_error *err)
{
    static const char *const names[] = {
        [DOOR_COPY] = "copy", [DOOR_SQL] = "sql", [DOOR_ONE] = "one"
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) {
            plan->door = (enum door)i;
            return AWA_OK;
        }
    return awa__fail(err, AWA_EINVAL, "--door: want copy, sql or one, got '%s'", name);
}

awa_status
plan_set_hold(struct plan *plan, const char *name, awa_error *err)
{
    if (plan->hold != HOLD_NOTHING)
        return awa__fail(err, AWA_EINVAL, "--hold-transaction: excludes --hold-snapshot");
    if (strcmp(name, "same") == 0)
        plan->hold = HOLD_SAME;
    else if (strcmp(name, "other") == 0)
        plan->hold = HOLD_OTHER;
    else
        return awa__fail(err, AWA_EINVAL, "--hold-transaction: want same or other, got '%s'", name);
    return AWA_OK;
}

awa_status
plan_set_prefetch(struct plan *plan, const char *text, awa_error *err)
{
    char *end;

    errno = 0;
    plan->prefetch = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || plan->prefetch < -1 ||
        plan->prefetch > PREFETCH_MAX)
        return awa__fail(err, AWA_EINVAL, "--prefetch: want -1 to %d, got '%s'", PREFETCH_MAX,
                         text);
    return AWA_OK;
}

/*
 * A batch that is so small that batches come evenly at a given rate, and that a closed loop never
 * stands still.
 */
static int64_t
usual_batch(const struct plan *plan)
{
    int64_t batch = BATCH_USUAL;

    if (plan->door == DOOR_ONE)
        return 1;
    if (plan->rate != 0 && plan->rate / BATCHES_PER_S < batch)
        batch = plan->rate / BATCHES_PER_S;
    if (plan->depth != 0 && plan->depth / (2 * plan->producers) < batch)
        batch = plan->depth / (2 * plan->producers);
    return batch > 0 ? batch : 1;
}

awa_status
plan_complete(struct plan *plan, awa_error *err)
{
    if (plan->rate != 0 && plan->depth != 0)
        return awa__fail(err, AWA_EINVAL, "--rate: excludes --depth");
    if (plan->batch == 0)
        plan->batch = usual_batch(plan);
    if (plan->rate == 0 && plan->depth == 0)
        plan->depth = DEPTH_USUAL > plan->batch ? DEPTH_USUAL : plan->batch;
    if (plan->batch * plan->payload_bytes > BATCH_BYTES_MAX)
        return awa__fail(err, AWA_EINVAL, "--batch: want at most %d MB in a transaction",
                         BATCH_BYTES_MAX >> 20);
    if (plan->depth != 0 && plan->depth < plan->batch)
        return awa__fail(err, AWA_EINVAL, "--depth: %lld has no room for a batch of %lld",
                         (long long)plan->depth, (long long)plan->batch);
    return AWA_OK;
}
