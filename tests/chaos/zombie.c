/* SPDX-License-Identifier: MIT */
/*
 * A zombie: a client in plain SQL that claims jobs, falls silent until they were taken from it,
 * and then tries to end them in every way there is. It also tries to end jobs that others run.
 * Whatever it tries must be refused. How long its lease is: 1 s.
 */
#include <sys/random.h>

#include "process.h"
#include "verbs.h"

enum { HELD_MAX = 25, FOREIGN_MAX = 10, PATIENCE_MS = 30000, TRIES = 5 };

struct held {
    struct attempt attempt;
    uint64_t key;
    bool lost;
};

struct zombie {
    struct process *p;
    PGconn *conn;
    struct dice dice;
    int64_t worker; /* its secret */
    int64_t number; /* as others know it */
    bool dead;      /* it was told that it is not known any more */
    struct held held[HELD_MAX];
    int nheld;
};

static const char *
text(char *to, size_t size, int64_t number)
{
    snprintf(to, size, "%lld", (long long)number);
    return to;
}

#define NUMBER(n) text((char[24]){ 0 }, 24, (n))

/* ---- Claiming ---------------------------------------------------------------------------- */

static bool
enlist(struct zombie *z)
{
    char name[24];
    AUTO(pgresult) PGresult *res = NULL;

    if (getrandom(&z->worker, sizeof z->worker, 0) != sizeof z->worker)
        return false;
    z->worker = (z->worker & INT64_MAX) | 1;
    z->dead = false;
    snprintf(name, sizeof name, "c%u", z->p->proc);
    res = query(z->conn,
                "SELECT awa.register_worker($1::bigint, $2, '{bulk,letters}', NULL, false, '1 s')",
                2, (const char *[]){ NUMBER(z->worker), name });
    if (!succeeded(res))
        return false;
    z->number = number_at(res, 0, 0);
    return true;
}

static struct record
attempt_record(const struct zombie *z, const struct held *h, enum op op)
{
    return (struct record){ .op = (uint8_t)op,
                            .phase = PHASE_OK,
                            .mode = MODE_ZOMBIE,
                            .lane = key_queue(h->key),
                            .key = h->key,
                            .job = (uint64_t)h->attempt.id,
                            .claim = (uint64_t)h->attempt.claim,
                            .position = (uint64_t)h->attempt.pos,
                            .hash = hash_of_worker((uint64_t)z->worker) };
}

/* From a row of pos, id, claim, slot and args. Its worker is this one, whoever holds it. */
static struct held
held_at(const struct zombie *z, const PGresult *res, int row, bool *ret_good)
{
    return (struct held){ .attempt = { .worker = z->worker,
                                       .pos = number_at(res, row, 0),
                                       .id = number_at(res, row, 1),
                                       .claim = number_at(res, row, 2),
                                       .slot = (int)number_at(res, row, 3) },
                          .key = key_read(PQgetvalue(res, row, 4), ret_good) };
}

/* Some asynchronously, as a worker of libawa does; a crash may forget those. */
static bool
claim(struct zombie *z)
{
    AUTO(pgresult) PGresult *res = NULL;

    awa__ignore(awa__exec(z->conn, "commit",
                          dice_below(&z->dice, 2) == 0 ? "SET synchronous_commit = off"
                                                       : "SET synchronous_commit = on",
                          NULL));
    res = query(z->conn,
                "SELECT pos, id, claim_id, ready_slot, args, attempt"
                "  FROM awa.claim_jobs($1::bigint, $2, $3::int)",
                3,
                (const char *[]){ NUMBER(z->worker),
                                  dice_below(&z->dice, 5) == 0 ? "letters" : "bulk",
                                  NUMBER(1 + dice_below(&z->dice, HELD_MAX)) });
    z->nheld = 0;
    for (int i = 0; i < PQntuples(res) && z->nheld < HELD_MAX; i++) {
        struct held *h = &z->held[z->nheld++];
        struct record r;
        bool good;

        *h = held_at(z, res, i, &good);
        r = attempt_record(z, h, OP_START);
        r.aux = (uint32_t)number_at(res, i, 5);
        r.res = !good;
        record_write(r);
    }
    return succeeded(res);
}

/* ---- Waiting until they are lost --------------------------------------------------------- */

static void
arrays(const struct zombie *z, char *claims, char *positions, size_t size)
{
    size_t c = (size_t)snprintf(claims, size, "{"), p = (size_t)snprintf(positions, size, "{");

    for (int i = 0; i < z->nheld; i++) {
        c += (size_t)snprintf(claims + c, size - c, "%s%lld", i > 0 ? "," : "",
                              (long long)z->held[i].attempt.claim);
        p += (size_t)snprintf(positions + p, size - p, "%s\"{[%lld,%lld]}\"", i > 0 ? "," : "",
                              (long long)z->held[i].attempt.pos, (long long)z->held[i].attempt.pos);
    }
    snprintf(claims + c, size - c, "}");
    snprintf(positions + p, size - p, "}");
}

/* Asks, and thereby lives on if nobody has given it up; -1: the session broke. */
static int
ask_what_is_lost(struct zombie *z)
{
    char worker[32], claims[HELD_MAX * 50], positions[HELD_MAX * 50];
    AUTO(pgresult) PGresult *res = NULL;
    int lost = 0;

    snprintf(worker, sizeof worker, "{%lld}", (long long)z->worker);
    arrays(z, claims, positions, sizeof claims);
    res = query(z->conn,
                "SELECT l.pos, cardinality(h.known)"
                "  FROM awa.heartbeat($1::bigint[], '{}', $2::bigint[], $3::int8multirange[]) AS h"
                "  LEFT JOIN LATERAL (SELECT generate_series(lower(r), upper(r) - 1) AS pos"
                "                       FROM unnest(h.lost) AS r) AS l ON true",
                3, (const char *[]){ worker, claims, positions });
    if (!succeeded(res))
        return -1;
    z->dead = number_at(res, 0, 1) == 0;
    for (int i = 0; i < PQntuples(res); i++)
        for (int k = 0; k < z->nheld; k++)
            if (z->held[k].attempt.pos == number_at(res, i, 0) && !z->held[k].lost) {
                z->held[k].lost = true;
                lost++;
            }
    return lost;
}

static bool
reconnect(struct zombie *z)
{
    if (z->conn != NULL && PQstatus(z->conn) == CONNECTION_OK)
        return true;
    PQfinish(TAKE(z->conn));
    z->conn = process_session(z->p, "SET lock_timeout = '3s'");
    return z->conn != NULL;
}

static void
wait_until_lost(struct zombie *z)
{
    uint64_t until = mono_ns() + PATIENCE_MS * 1000000ull;
    int lost = 0;

    while (lost < z->nheld && mono_ns() < until && !process_ends()) {
        int n;

        sleep_ms(2500); /* beyond the lease, or it would live for ever */
        if (!reconnect(z))
            return;
        n = ask_what_is_lost(z);
        lost += n > 0 ? n : 0;
    }
}

/* ---- Trying ------------------------------------------------------------------------------ */

/* An answer with an error speaks of this attempt only: it was not ended. */
static enum phase_of
try_alone(struct zombie *z, const struct verb *v, const struct attempt *a)
{
    char sql[400];
    AUTO(pgresult)
    PGresult *res = query(z->conn, attempt_sql(sql, sizeof sql, v->sql, a), 0, NULL);
    const char *answer;

    if (!succeeded(res))
        return phase_of_failure(z->conn, res);
    answer = PQgetvalue(res, 0, 0);
    return strcmp(answer, v->idle) == 0 || answer[0] == '!' ? PHASE_FAIL : PHASE_OK;
}

/* In a transaction with an effect, which must vanish with it. */
static enum phase_of
try_transaction(struct zombie *z, const struct verb *v, const struct held *h)
{
    const struct attempt *a = &h->attempt;
    char sql[400];
    AUTO(pgresult) PGresult *begun = query(z->conn, "BEGIN", 0, NULL);
    AUTO(pgresult) PGresult *effect = NULL;
    AUTO(pgresult) PGresult *completed = NULL;
    AUTO(pgresult) PGresult *ended = NULL;

    effect = query(z->conn,
                   "INSERT INTO effects VALUES ($1::bigint, $2::bigint, $3::bigint, $4::bigint)", 4,
                   (const char *[]){ NUMBER((int64_t)h->key), NUMBER(a->claim), NUMBER(a->pos),
                                     NUMBER(z->worker) });
    completed = query(z->conn, attempt_sql(sql, sizeof sql, v->sql, a), 0, NULL);
    ended = query(z->conn, "COMMIT", 0, NULL);
    if (succeeded(ended) && strcmp(PQcmdStatus(ended), "COMMIT") == 0)
        return PHASE_OK;
    return succeeded(ended) || !succeeded(completed) ? PHASE_FAIL : PHASE_INFO;
}

/* One of the ways to end an attempt. */
static const struct verb *
any_way(struct zombie *z)
{
    const struct verb *ways[UINT8_MAX];
    uint32_t n = 0;

    for (size_t i = 0; i < nverbs && n < UINT8_MAX; i++)
        if (verbs[i].sort == VERB_BY_ATTEMPT)
            ways[n++] = &verbs[i];
    return ways[dice_below(&z->dice, n)];
}

static void
try_once(struct zombie *z, const struct held *h, uint8_t mode)
{
    const struct verb *v = any_way(z);
    struct record r = attempt_record(z, h, OP_WRITE);
    enum phase_of phase;

    if (!reconnect(z))
        return;
    r.mode |= mode;
    r.res = (uint8_t)(v - verbs);
    r = record_begin(r);
    phase =
        strcmp(v->name, "complete") == 0 ? try_transaction(z, v, h) : try_alone(z, v, &h->attempt);
    record_end(r, phase);
    atomic_fetch_add(&z->p->board->stale_tried, 1);
    atomic_fetch_add(&z->p->board->stale_refused, phase == PHASE_FAIL);
}

/* So often that each way is tried on every second of them. */
static void
try_lost(struct zombie *z)
{
    for (int i = 0; i < z->nheld && !process_ends(); i++)
        if (z->held[i].lost)
            for (int n = 0; n < TRIES; n++)
                try_once(z, &z->held[i], 0);
}

/* A worker that was given up for dead claims nothing. */
static void
try_to_claim(struct zombie *z)
{
    struct record r = { .op = OP_WRITE,
                        .res = (uint8_t)(verb_named("claim") - verbs),
                        .mode = MODE_ZOMBIE };
    AUTO(pgresult) PGresult *res = NULL;
    enum phase_of phase;

    if (!reconnect(z))
        return;
    r = record_begin(r);
    res = query(z->conn, "SELECT pos FROM awa.claim_jobs($1::bigint, 'bulk', 5)", 1,
                (const char *[]){ NUMBER(z->worker) });
    phase = succeeded(res) ? PHASE_OK : phase_of_failure(z->conn, res);
    record_end(r, phase);
    atomic_fetch_add(&z->p->board->stale_tried, 1);
    atomic_fetch_add(&z->p->board->stale_refused, phase == PHASE_FAIL);
}

/* Attempts of others, right in claim and position, with a secret that does not hold them. */
static void
try_foreign(struct zombie *z)
{
    AUTO(pgresult) PGresult *res = NULL;

    if (!reconnect(z))
        return;
    res = query(z->conn,
                "SELECT pos, id, run_lease, ready_slot, args"
                "  FROM awa.list_jobs('running', p_limit => $1::int) WHERE worker_id <> $2::bigint",
                2, (const char *[]){ NUMBER(FOREIGN_MAX), NUMBER(z->number) });
    for (int i = 0; i < PQntuples(res) && !process_ends(); i++) {
        bool good;
        struct held h = held_at(z, res, i, &good);

        try_once(z, &h, MODE_FOREIGN);
        try_once(z, &h, MODE_FOREIGN);
    }
}

int
zombie_main(struct process *p)
{
    struct zombie z = { .p = p, .dice = { mix(p->seed) + p->proc } };

    while (!process_ends()) {
        if (!reconnect(&z))
            break;
        if (!enlist(&z) || !claim(&z)) {
            sleep_ms(300);
            continue;
        }
        try_foreign(&z);
        wait_until_lost(&z);
        try_lost(&z);
        if (z.dead)
            try_to_claim(&z);
    }
    PQfinish(z.conn);
    return 0;
}
