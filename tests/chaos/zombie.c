/* SPDX-License-Identifier: MIT */
/*
 * A zombie: a client in plain SQL that claims jobs, falls silent until they were taken from it,
 * and then tries to end them in every way there is. It also tries to end jobs that others run.
 * Whatever it tries must be refused. How long its lease is: 1 s.
 */
#include <sys/random.h>

#include "process.h"

enum { HELD_MAX = 25, FOREIGN_MAX = 10, PATIENCE_MS = 30000 };

struct attempt {
    uint64_t key, job;
    int64_t claim, pos;
    int slot;
    bool lost;
};

struct zombie {
    struct process *p;
    PGconn *conn;
    struct dice dice;
    int64_t worker; /* its secret */
    int64_t number; /* as others know it */
    bool dead;      /* it was told that it is not known any more */
    struct attempt held[HELD_MAX];
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
attempt_record(const struct zombie *z, const struct attempt *a, enum op op)
{
    return (struct record){ .op = (uint8_t)op,
                            .phase = PHASE_OK,
                            .mode = MODE_ZOMBIE,
                            .lane = key_queue(a->key),
                            .key = a->key,
                            .job = a->job,
                            .claim = (uint64_t)a->claim,
                            .position = (uint64_t)a->pos,
                            .hash = hash_of_worker((uint64_t)z->worker) };
}

/* Some asynchronously, as a worker of libawa does; a crash may forget those. */
static bool
claim(struct zombie *z)
{
    AUTO(pgresult) PGresult *res = NULL;

    awa__ignore(awa__sql_exec(z->conn, "commit",
                              dice_below(&z->dice, 2) == 0 ? "SET synchronous_commit = off"
                                                           : "SET synchronous_commit = on",
                              NULL));
    res = query(z->conn,
                "SELECT pos, id, claim_id, ready_slot, attempt, args"
                "  FROM awa.claim_jobs($1::bigint, $2, $3::int)",
                3,
                (const char *[]){ NUMBER(z->worker),
                                  dice_below(&z->dice, 5) == 0 ? "letters" : "bulk",
                                  NUMBER(1 + dice_below(&z->dice, HELD_MAX)) });
    z->nheld = 0;
    for (int i = 0; i < PQntuples(res) && z->nheld < HELD_MAX; i++) {
        struct attempt *a = &z->held[z->nheld++];
        struct record r;
        bool good;

        *a = (struct attempt){ .pos = number_at(res, i, 0),
                               .job = (uint64_t)number_at(res, i, 1),
                               .claim = number_at(res, i, 2),
                               .slot = (int)number_at(res, i, 3),
                               .key = key_read(PQgetvalue(res, i, 5), &good) };
        r = attempt_record(z, a, OP_START);
        r.aux = (uint32_t)number_at(res, i, 4);
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
                              (long long)z->held[i].claim);
        p += (size_t)snprintf(positions + p, size - p, "%s\"{[%lld,%lld]}\"", i > 0 ? "," : "",
                              (long long)z->held[i].pos, (long long)z->held[i].pos);
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
            if (z->held[k].pos == number_at(res, i, 0) && !z->held[k].lost) {
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

/* complete_jobs() takes positions; it must not return this one. */
static enum phase_of
try_complete(struct zombie *z, const struct attempt *a)
{
    char slot[16], claim_id[32], positions[64];
    AUTO(pgresult) PGresult *res = NULL;

    snprintf(slot, sizeof slot, "{%d}", a->slot);
    snprintf(claim_id, sizeof claim_id, "{%lld}", (long long)a->claim);
    snprintf(positions, sizeof positions, "{\"{[%lld,%lld]}\"}", (long long)a->pos,
             (long long)a->pos);
    res = query(z->conn,
                "SELECT isempty(awa.complete_jobs($1::bigint, $2::smallint[], $3::bigint[],"
                " $4::int8multirange[]))",
                4, (const char *[]){ NUMBER(z->worker), slot, claim_id, positions });
    if (!succeeded(res))
        return phase_of_failure(z->conn, res);
    return PQgetvalue(res, 0, 0)[0] == 't' ? PHASE_FAIL : PHASE_OK;
}

static enum phase_of
try_close(struct zombie *z, const struct attempt *a, const char *outcome)
{
    AUTO(pgresult)
    PGresult *res =
        query(z->conn,
              "SELECT state FROM awa.close_jobs($1::bigint, ARRAY[$2::smallint], ARRAY[$3::bigint],"
              " ARRAY[$4::bigint], ARRAY[$5])",
              5,
              (const char *[]){ NUMBER(z->worker), NUMBER(a->slot), NUMBER(a->claim),
                                NUMBER(a->pos), outcome });

    if (!succeeded(res))
        return phase_of_failure(z->conn, res);
    if (PQgetisnull(res, 0, 0)) /* an error for this row: it was not closed */
        return PHASE_FAIL;
    return strcmp(PQgetvalue(res, 0, 0), "stale") == 0 ? PHASE_FAIL : PHASE_OK;
}

/* In a transaction with an effect, which must vanish with it. */
static enum phase_of
try_transaction(struct zombie *z, const struct attempt *a)
{
    AUTO(pgresult) PGresult *begun = query(z->conn, "BEGIN", 0, NULL);
    AUTO(pgresult) PGresult *effect = NULL;
    AUTO(pgresult) PGresult *completed = NULL;
    AUTO(pgresult) PGresult *ended = NULL;

    effect = query(z->conn,
                   "INSERT INTO effects VALUES ($1::bigint, $2::bigint, $3::bigint, $4::bigint)", 4,
                   (const char *[]){ NUMBER((int64_t)a->key), NUMBER(a->claim), NUMBER(a->pos),
                                     NUMBER(z->worker) });
    completed = query(z->conn, "SELECT awa.complete_job($1::bigint, $2::bigint, $3::bigint)", 3,
                      (const char *[]){ NUMBER(z->worker), NUMBER(a->claim), NUMBER(a->pos) });
    ended = query(z->conn, "COMMIT", 0, NULL);
    if (succeeded(ended) && strcmp(PQcmdStatus(ended), "COMMIT") == 0)
        return PHASE_OK;
    return succeeded(ended) || !succeeded(completed) ? PHASE_FAIL : PHASE_INFO;
}

static void
try_once(struct zombie *z, const struct attempt *a, enum verb verb, uint8_t mode)
{
    static const char *const outcomes[] = { [VERB_COMPLETE] = "completed",
                                            [VERB_FAIL] = "failed",
                                            [VERB_RETRY] = "retried",
                                            [VERB_SNOOZE] = "snoozed",
                                            [VERB_CANCELLED] = "cancelled" };
    struct record r = attempt_record(z, a, OP_WRITE);
    enum phase_of phase;

    if (!reconnect(z))
        return;
    r.mode |= mode;
    r.res = (uint8_t)verb;
    r = record_begin(r);
    if (verb == VERB_TRANSACTION)
        phase = try_transaction(z, a);
    else if (verb == VERB_COMPLETE)
        phase = try_complete(z, a);
    else
        phase = try_close(z, a, outcomes[verb]);
    record_end(r, phase);
    atomic_fetch_add(&z->p->board->stale_tried, 1);
    atomic_fetch_add(&z->p->board->stale_refused, phase == PHASE_FAIL);
}

/* Every way for each of them, in turn. */
static void
try_lost(struct zombie *z)
{
    for (int i = 0; i < z->nheld && !process_ends(); i++)
        if (z->held[i].lost)
            for (int n = 0; n < 3; n++)
                try_once(z, &z->held[i], (enum verb)dice_below(&z->dice, VERB_TRANSACTION + 1), 0);
}

/* A worker that was given up for dead claims nothing. */
static void
try_to_claim(struct zombie *z)
{
    struct record r = { .op = OP_WRITE, .res = VERB_CLAIM, .mode = MODE_ZOMBIE };
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
        struct attempt a = { .pos = number_at(res, i, 0),
                             .job = (uint64_t)number_at(res, i, 1),
                             .claim = number_at(res, i, 2),
                             .slot = (int)number_at(res, i, 3),
                             .key = key_read(PQgetvalue(res, i, 4), &good) };

        try_once(z, &a, (enum verb)dice_below(&z->dice, VERB_TRANSACTION + 1), MODE_FOREIGN);
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
