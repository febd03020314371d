/* SPDX-License-Identifier: MIT */
/* See workload.h. A key is a process, a queue and a number: 24, 8 and 32 bits. */
#include "workload.h"

static const char *const kind_names[] = {
#define X(name, text) text,
    KIND_MAP(X)
#undef X
};

static const char *const queue_names[] = {
#define X(name, text) text,
    QUEUE_MAP(X)
#undef X
};

/* Of 10,000 jobs of each queue, how many are of a kind; the rest is instant. */
static const uint16_t shares[QUEUES][KINDS] = {
    [QUEUE_BULK] = { [KIND_SHORT] = 400,
                     [KIND_LONG] = 15,
                     [KIND_DEAF] = 5,
                     [KIND_FAILS] = 100,
                     [KIND_SNOOZES] = 50,
                     [KIND_EFFECT] = 400,
                     [KIND_HOPELESS] = 20 },
    [QUEUE_UNIQUE] = { [KIND_SHORT] = 3000, [KIND_FAILS] = 1000, [KIND_EFFECT] = 1000 },
    [QUEUE_LETTERS] = { [KIND_SHORT] = 500, [KIND_EFFECT] = 500, [KIND_HOPELESS] = 1500 },
};

/* splitmix64 */
uint64_t
mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

uint32_t
hash_of_worker(uint64_t number)
{
    return (uint32_t)mix(number);
}

uint64_t
dice_roll(struct dice *d)
{
    d->state += 0x9e3779b97f4a7c15;
    return mix(d->state);
}

uint32_t
dice_below(struct dice *d, uint32_t n)
{
    return (uint32_t)(dice_roll(d) % n);
}

int32_t
dice_between(struct dice *d, int32_t low, int32_t high)
{
    return low + (int32_t)dice_below(d, (uint32_t)(high - low + 1));
}

uint64_t
key_make(uint32_t proc, enum queue queue, uint32_t n)
{
    return (uint64_t)proc << 40 | (uint64_t)queue << 32 | n;
}

enum queue
key_queue(uint64_t key)
{
    return (enum queue)(key >> 32 & 0xff) < QUEUES ? (enum queue)(key >> 32 & 0xff) : QUEUE_BULK;
}

uint32_t
key_proc(uint64_t key)
{
    return (uint32_t)(key >> 40);
}

uint32_t
key_hash(uint64_t key)
{
    return (uint32_t)mix(key);
}

enum kind
key_kind(uint64_t key)
{
    uint32_t at = (uint32_t)(mix(key) >> 32) % 10000;

    for (int kind = 0; kind < KINDS; kind++) {
        if (at < shares[key_queue(key)][kind])
            return (enum kind)kind;
        at -= shares[key_queue(key)][kind];
    }
    return KIND_INSTANT;
}

bool
key_has_output(uint64_t key)
{
    enum kind kind = key_kind(key);

    return kind == KIND_SHORT || kind == KIND_LONG || kind == KIND_DEAF;
}

unsigned
key_fails(uint64_t key)
{
    return 1 + key_hash(key) % 3;
}

/* Much more than a killed worker may burn; but for those that are to fail. */
int64_t
key_max_attempts(uint64_t key)
{
    return key_kind(key) == KIND_HOPELESS ? 3 : 100;
}

/* Mostly 2, which is the default. */
int64_t
key_priority(uint64_t key)
{
    uint32_t at = key_hash(key) >> 8 & 15;

    return key_queue(key) != QUEUE_FIFO && at >= 1 && at <= 4 ? at : 2;
}

const char *
kind_name(enum kind kind)
{
    return kind_names[kind];
}

const char *
queue_name(enum queue queue)
{
    return queue_names[queue];
}

awa_job_options
key_job(uint64_t key, struct job_text *text)
{
    uint32_t hash = key_hash(key);

    snprintf(text->args, sizeof text->args, "{\"k\": %llu, \"h\": %u}", (unsigned long long)key,
             hash);
    snprintf(text->unique, sizeof text->unique, "u%u", hash % UNIQUE_KEYS);
    return (awa_job_options){
        .size = sizeof(awa_job_options),
        .kind = kind_name(key_kind(key)),
        .queue = queue_name(key_queue(key)),
        .args_json = text->args,
        .priority = key_priority(key),
        .max_attempts = key_max_attempts(key),
    };
}

static uint64_t
number_after(const char *args, const char *name)
{
    const char *at = strstr(args, name);

    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

uint64_t
key_read(const char *args, bool *ret_good)
{
    uint64_t key = number_after(args, "\"k\": ");

    *ret_good = key != 0 && number_after(args, "\"h\": ") == key_hash(key);
    return key;
}
