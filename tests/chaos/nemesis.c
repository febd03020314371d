/* SPDX-License-Identifier: MIT */
/* See nemesis.h. */
#include "nemesis.h"

static const struct {
    const char *name;
    uint16_t share;
} faults[] = {
#define X(name, word, share, text) [FAULT_##name] = { word, share },
    FAULT_MAP(X)
#undef X
};

/* How long each lasts, in ms; 0: it is over at once. */
static const struct {
    int32_t low, high;
} lengths[FAULTS] = {
    [FAULT_PAUSE] = { 1000, 12000 },      [FAULT_FREEZE] = { 17000, 25000 },
    [FAULT_CONNECTIONS] = { 2000, 5000 }, [FAULT_DELAY] = { 3000, 8000 },
    [FAULT_HOLE] = { 2000, 25000 },       [FAULT_SNAPSHOT] = { 10000, 60000 },
    [FAULT_WRITER] = { 5000, 45000 },     [FAULT_DISK] = { 1500, 10000 },
    [FAULT_STALL] = { 5000, 60000 },      [FAULT_SERVER_CLOCK] = { 5000, 20000 },
    [FAULT_READONLY] = { 3000, 20000 },   [FAULT_LOCKED] = { 2000, 25000 },
    [FAULT_NEIGHBOUR] = { 10000, 60000 }, [FAULT_STARVED] = { 2000, 10000 },
    [FAULT_DUMP] = { 2000, 12000 },
};

enum {
    FIRST_MS = 3000,
    LAST_MS = 3000,
    GAP_LOW_MS = 400,
    GAP_HIGH_MS = 2400,
    HOUR_S = 3600,
    MINUTE_S = 60,
    SHARE = 5, /* what stops everybody lasts for a fifth of the run at most */
};

const char *
fault_name(enum fault fault)
{
    return faults[fault].name;
}

bool
is_outage(enum fault fault)
{
    return fault == FAULT_BACKEND || fault == FAULT_POSTMASTER || fault == FAULT_FAST ||
           fault == FAULT_IMMEDIATE || fault == FAULT_DISK;
}

bool
stops_everybody(enum fault fault)
{
    return is_outage(fault) || fault == FAULT_CONNECTIONS || fault == FAULT_STALL ||
           fault == FAULT_READONLY || fault == FAULT_LOCKED;
}

/* One step of three is an hour back, the others a minute forward. */
int64_t
step_at_first(const struct planned *what)
{
    if (what->fault != FAULT_SERVER_CLOCK)
        return 0;
    return what->value % 3 == 0 ? -HOUR_S : MINUTE_S;
}

/* One of four stays; the others are taken back. */
int64_t
step_in_the_end(const struct planned *what)
{
    return what->value / 3 % 4 == 0 ? 0 : -step_at_first(what);
}

bool
faults_read(const char *list, uint32_t *ret_set, const char **ret_bad)
{
    *ret_set = strcmp(list, "all") == 0 ? (1u << FAULTS) - 1 : 0;
    if (*ret_set != 0 || strcmp(list, "none") == 0)
        return true;
    for (const char *at = list; *at != '\0';) {
        size_t n = strcspn(at, ","), i = 0;

        while (i < FAULTS && (strlen(faults[i].name) != n || strncmp(faults[i].name, at, n) != 0))
            i++;
        if (i == FAULTS) {
            *ret_bad = at;
            return false;
        }
        *ret_set |= 1u << i;
        at += n + (at[n] == ',');
    }
    return true;
}

static enum fault
choose(struct dice *dice, uint32_t set)
{
    uint32_t sum = 0, at;

    for (int i = 0; i < FAULTS; i++)
        sum += (set >> i & 1) * faults[i].share;
    at = dice_below(dice, sum);
    for (int i = 0; i < FAULTS; i++) {
        uint32_t share = (set >> i & 1) * faults[i].share;

        if (at < share)
            return (enum fault)i;
        at -= share;
    }
    return FAULT_KILL;
}

/* A stall of 5 s comes often, one of 60 s seldom, and in a run of five minutes or more only. */
static int32_t
stall_ms(struct dice *dice, int32_t most)
{
    uint32_t at = dice_below(dice, 16);

    if (at == 0 && most >= 60000)
        return 60000;
    return at < 4 && most >= 20000 ? 20000 : 5000;
}

static int32_t
choose_length(struct dice *dice, enum fault fault, int64_t run_ms)
{
    int32_t low = lengths[fault].low, high = lengths[fault].high;
    int32_t most = run_ms / SHARE < high ? (int32_t)(run_ms / SHARE) : high;

    if (fault == FAULT_STALL)
        return stall_ms(dice, most);
    return dice_between(dice, low, !stops_everybody(fault) ? high : most > low ? most : low);
}

size_t
plan_faults(uint64_t seed, int64_t length_ms, uint32_t set, struct planned *plan, size_t max)
{
    struct dice dice = { mix(seed) };
    int64_t at = FIRST_MS;
    int32_t locked = 0;
    size_t n = 0;

    while (set != 0 && n < max && at < length_ms - LAST_MS) {
        struct planned *f = &plan[n++];

        f->at_ms = at;
        f->fault = choose(&dice, set);
        f->target = (uint32_t)dice_roll(&dice);
        f->length_ms = choose_length(&dice, f->fault, length_ms);
        f->value = dice_between(&dice, 0, 1000000);
        if (f->fault == FAULT_LOCKED)
            f->value = locked++; /* each table in turn */
        at += dice_between(&dice, GAP_LOW_MS, GAP_HIGH_MS);
    }
    return n;
}
