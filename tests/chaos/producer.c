/* SPDX-License-Identifier: MIT */
/*
 * A producer: inserts jobs through one of the doors, as fast as the backlog allows, and writes
 * down for each what it was told. Arguments: the door, and how many operations a second at most.
 */
#include "process.h"

enum {
    BACKLOG_MAX = 2000, /* jobs that may wait; beyond it, producers do */
    BATCH_MAX = 400,
    COPY_MAX = 1000,
};

struct producer {
    struct process *p;
    PGconn *conn;
    struct dice dice;
    enum queue queue;
    uint8_t mode;
    uint32_t next; /* number of the next key */
    uint64_t keys[COPY_MAX];
    struct job_text texts[COPY_MAX];
    awa_job_options jobs[COPY_MAX];
};

/* Makes the next n jobs; returns the record of their insertion. */
static struct record
make_jobs(struct producer *w, size_t n)
{
    struct record r = { .op = OP_INSERT, .mode = w->mode, .lane = w->queue, .aux = (uint32_t)n };

    for (size_t i = 0; i < n; i++) {
        w->keys[i] = key_make(w->p->proc, w->queue, w->next++);
        w->jobs[i] = key_job(w->keys[i], &w->texts[i]);
    }
    r.key = w->keys[0];
    return r;
}

/* What a status says about an operation that was one statement, or ended with a commit. */
static enum phase_of
phase_of(awa_status s, const awa_error *err)
{
    if (s == AWA_OK)
        return PHASE_OK;
    return s == AWA_ECONN || (s == AWA_EDB && err->sqlstate[0] == '\0') ? PHASE_INFO : PHASE_FAIL;
}

static void
close_if_broken(struct producer *w, enum phase_of phase)
{
    if (phase == PHASE_INFO || PQstatus(w->conn) != CONNECTION_OK ||
        PQtransactionStatus(w->conn) != PQTRANS_IDLE)
        PQfinish(TAKE(w->conn));
}

static void
settle(struct producer *w, struct record r, awa_status s, const awa_error *err)
{
    enum phase_of phase = phase_of(s, err);

    r.res = s == AWA_EEXISTS;
    record_end(r, phase);
    if (phase == PHASE_OK)
        atomic_fetch_add(&w->p->board->inserted, r.aux);
    if (phase == PHASE_FAIL && s != AWA_EEXISTS)
        fprintf(stderr, "producer %u: %s %s\n", w->p->proc, err->sqlstate, err->message);
    close_if_broken(w, phase);
}

/* One operation of ten, if it has no unique key, is rolled back: then nothing has happened. */
static bool
rolls_back(struct producer *w)
{
    return w->mode != MODE_UNIQUE && dice_below(&w->dice, 10) == 0;
}

/* Once something was sent in a transaction that is to be rolled back. */
static void
roll_back(struct producer *w, struct record r)
{
    awa__ignore(awa__exec(w->conn, "rollback", "ROLLBACK", NULL));
    record_end(r, PHASE_FAIL);
    close_if_broken(w, PHASE_FAIL);
}

static void
insert_one(struct producer *w)
{
    struct record r = make_jobs(w, 1);
    bool back = rolls_back(w);
    int64_t id = 0;
    awa_error err;
    awa_status s = AWA_OK;

    if (w->queue == QUEUE_UNIQUE && w->mode == MODE_UNIQUE) {
        w->jobs[0].unique_key = w->texts[0].unique;
        r.hash = key_hash(r.key) % UNIQUE_KEYS + 1;
    }
    if (w->queue == QUEUE_BULK && dice_below(&w->dice, 10) == 0) {
        w->jobs[0].delay_ms = dice_between(&w->dice, 1, 1500);
        r.mode |= MODE_DEFERRED;
    }
    r = record_begin(r);
    if (back)
        s = awa__exec(w->conn, "begin", "BEGIN", &err);
    if (s == AWA_OK)
        s = awa_job_insert(w->conn, &w->jobs[0], &id, &err);
    r.job = (uint64_t)id;
    if (back)
        roll_back(w, r);
    else
        settle(w, r, s, &err);
}

static void
insert_many(struct producer *w)
{
    bool copy = w->mode == MODE_COPY;
    size_t n = (size_t)dice_between(&w->dice, 1, copy ? COPY_MAX : BATCH_MAX);
    struct record r = record_begin(make_jobs(w, n));
    bool back = rolls_back(w);
    awa_error err;
    awa_status s = AWA_OK;

    if (back)
        s = awa__exec(w->conn, "begin", "BEGIN", &err);
    if (s == AWA_OK)
        s = copy ? awa_jobs_copy(w->conn, w->jobs, n, NULL, &err)
                 : awa_jobs_insert(w->conn, w->jobs, n, NULL, &err);
    if (back)
        roll_back(w, r);
    else
        settle(w, r, s, &err);
}

static awa_status
insert_business(struct producer *w, size_t n, awa_error *err)
{
    awa_status s = awa__exec(w->conn, "begin", "BEGIN", err);

    for (size_t i = 0; i < n && s == AWA_OK; i++) {
        char key[24];
        AUTO(pgresult) PGresult *res = NULL;

        snprintf(key, sizeof key, "%llu", (unsigned long long)w->keys[i]);
        res = query(w->conn, "INSERT INTO business (key) VALUES ($1::bigint)", 1,
                    (const char *[]){ key });
        if (!succeeded(res))
            return awa__fail_pg(err, w->conn, res, "business");
        s = awa_job_insert(w->conn, &w->jobs[i], NULL, err);
    }
    return s;
}

/* Jobs and rows of the business in one transaction, which may take its time, or roll back. */
static void
insert_in_transaction(struct producer *w, int hold_ms, bool back)
{
    struct record r = record_begin(make_jobs(w, (size_t)dice_between(&w->dice, 1, 4)));
    awa_error err;
    awa_status s = insert_business(w, r.aux, &err);

    if (s != AWA_OK) { /* no COMMIT was sent: it cannot have happened */
        record_end(r, PHASE_FAIL);
        PQfinish(TAKE(w->conn));
        return;
    }
    sleep_ms(hold_ms);
    if (back)
        roll_back(w, r);
    else
        settle(w, r, awa__exec(w->conn, "commit", "COMMIT", &err), &err);
}

static void
produce(struct producer *w)
{
    switch (w->mode) {
    case MODE_BATCH:
    case MODE_COPY:
        insert_many(w);
        break;
    case MODE_TRANSACTION:
        insert_in_transaction(w, dice_below(&w->dice, 8) == 0 ? dice_between(&w->dice, 1, 300) : 0,
                              dice_below(&w->dice, 5) == 0);
        break;
    default:
        insert_one(w);
    }
}

static bool
choose_door(struct producer *w, const char *door)
{
    static const struct {
        const char *door;
        uint8_t mode;
        enum queue queue;
    } doors[] = {
        { "single", MODE_SINGLE, QUEUE_BULK },   { "batch", MODE_BATCH, QUEUE_BULK },
        { "copy", MODE_COPY, QUEUE_BULK },       { "transaction", MODE_TRANSACTION, QUEUE_BULK },
        { "unique", MODE_UNIQUE, QUEUE_UNIQUE }, { "letters", MODE_SINGLE, QUEUE_LETTERS },
        { "fifo", MODE_SINGLE, QUEUE_FIFO },     { "programs", MODE_SINGLE, QUEUE_PROGRAMS },
    };

    for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++)
        if (strcmp(doors[i].door, door) == 0) {
            w->mode = doors[i].mode;
            w->queue = doors[i].queue;
            return true;
        }
    return false;
}

static struct producer *
producer_new(struct process *p, const char *door)
{
    struct producer *w = calloc(1, sizeof *w);

    if (w == NULL || !choose_door(w, door)) {
        free(w);
        return NULL;
    }
    w->p = p;
    w->next = 1;
    w->dice.state = mix(p->seed) + p->proc;
    return w;
}

int
producer_main(struct process *p)
{
    AUTO(free) struct producer *w = producer_new(p, p->argc > 0 ? p->argv[0] : "");
    int pause_us = p->argc > 1 ? 1000000 / (int)strtol(p->argv[1], NULL, 10) : 0;

    if (w == NULL)
        return 2;
    while (!process_ends()) {
        if (w->conn == NULL && (w->conn = process_session(p, NULL)) == NULL)
            break;
        if (atomic_load(&p->board->backlog) > BACKLOG_MAX)
            sleep_ms(20);
        else if (w->conn != NULL) {
            produce(w);
            (void)usleep((useconds_t)pause_us);
        }
    }
    PQfinish(w->conn);
    return 0;
}

/* ---- Guests ------------------------------------------------------------------------------ */

/* A transaction that has inserted jobs, and idles. */
int
writer_main(struct process *p)
{
    AUTO(free) struct producer *w = producer_new(p, "transaction");

    if (w == NULL || (w->conn = process_session(p, NULL)) == NULL)
        return 2;
    insert_in_transaction(w, guest_length_ms(p), dice_below(&w->dice, 2) == 0);
    PQfinish(w->conn);
    return 0;
}

/* Keeps a transaction open that begins with a statement. */
static int
hold(struct process *p, const char *sql)
{
    AUTO(pgconn) PGconn *conn = process_session(p, NULL);

    if (conn == NULL)
        return 2;
    awa__ignore(awa__exec(conn, "guest", sql, NULL));
    sleep_ms(guest_length_ms(p));
    return 0;
}

/* One that holds an old snapshot. */
int
reader_main(struct process *p)
{
    return hold(p, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM business");
}

/* One in another database, with an id: every snapshot of the cluster looks as old as it is. */
int
neighbour_main(struct process *p)
{
    char dsn[400];
    struct process there = *p;

    snprintf(dsn, sizeof dsn, "%s dbname=postgres", p->dsn);
    there.dsn = dsn;
    return hold(&there, "BEGIN; SELECT pg_current_xact_id()");
}
