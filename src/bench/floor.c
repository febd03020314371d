/* SPDX-License-Identifier: MIT */
/*
 * The rows of a transaction are encoded once. Before each transaction only the parts that change
 * are overwritten, so the client costs as little as it can.
 */
#include "bench/floor.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/buffer.h"
#include "bench/clock.h"
#include "bench/payload.h"
#include "pg/interrupt.h"
#include "statements_bench.h"

enum { FIELDS = 10 }; /* columns named in bench_floor_copy.sql */

/* Where in a row the parts are that change. The payload is one, too: see payload_at. */
enum {
    POS_AT = 2 + 4,
    ID_AT = POS_AT + 8 + 4,
};

struct copier {
    struct run *run;
    PGconn *conn;
    struct buffer rows; /* of one transaction */
    size_t row_size, payload_at;
    int64_t copied;
    pthread_t thread;
    bool started;
    awa_status status;
    awa_error error;
};

struct run {
    const struct plan *plan;
    int64_t until_us;
    atomic_int_least64_t next; /* position */
    int64_t n;
    struct copier each[];
};

/* ---- Rows -------------------------------------------------------------------------------- */

static const char head[19] = "PGCOPY\n\377\r\n"; /* the rest is zero: no flags, no extension */

static void
add_int64(struct buffer *b, int64_t v)
{
    buffer_int32(b, 8);
    buffer_int64(b, v);
}

static void
add_int16(struct buffer *b, int v)
{
    buffer_int32(b, 2);
    buffer_int16(b, v);
}

/* The columns in the order of bench_floor_copy.sql. */
static void
add_row(struct copier *c, const char *payload, size_t len)
{
    static const char kind[] = "bench";
    struct buffer *b = &c->rows;
    size_t began = b->len;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    buffer_int16(b, FIELDS);
    add_int64(b, 0);                                    /* pos */
    add_int64(b, 0);                                    /* id */
    add_int64(b, (now.tv_sec - 946684800LL) * 1000000); /* microseconds since 2000 */
    add_int16(b, 0);
    add_int16(b, 0);
    add_int16(b, 25);
    buffer_int32(b, sizeof kind - 1);
    buffer_add(b, kind, sizeof kind - 1);
    buffer_int32(b, (int64_t)len + 1);
    buffer_add(b, "\1", 1); /* version of the binary form of jsonb */
    c->payload_at = b->len - began;
    buffer_add(b, payload, len);
    buffer_int32(b, -1); /* tags */
    buffer_int32(b, -1); /* metadata */
    c->row_size = b->len - began;
}

static awa_status
encode(struct copier *c, awa_error *err)
{
    size_t len = (size_t)c->run->plan->payload_bytes;
    AUTO(free) char *payload = malloc(len);

    if (payload == NULL)
        return awa__fail(err, AWA_ENOMEM, "floor: out of memory");
    payload_init(payload, len);
    buffer_add(&c->rows, head, sizeof head);
    for (int64_t i = 0; i < c->run->plan->batch; i++)
        add_row(c, payload, len);
    buffer_int16(&c->rows, -1);
    return c->rows.failed ? awa__fail(err, AWA_ENOMEM, "floor: out of memory") : AWA_OK;
}

/* Gives the rows their positions, ids and numbers. */
static void
number(struct copier *c, int64_t first)
{
    for (int64_t i = 0; i < c->run->plan->batch; i++) {
        char *row = c->rows.data + sizeof head + (size_t)i * c->row_size;
        uint64_t pos = htobe64((uint64_t)(first + i));

        memcpy(row + POS_AT, &pos, sizeof pos);
        memcpy(row + ID_AT, &pos, sizeof pos);
        payload_number(row + c->payload_at, first + i);
    }
}

/* ---- The thread -------------------------------------------------------------------------- */

static awa_status
copy(struct copier *c, awa_error *err)
{
    awa_status s = awa__copy_begin(c->conn, SQL_BENCH_FLOOR_COPY, false, err);

    if (s != AWA_OK)
        return s;
    s = awa__copy_put(c->conn, c->rows.data, c->rows.len, err);
    return awa__copy_end(c->conn, SQL_BENCH_FLOOR_COPY, s, NULL, err);
}

static void *
copier_thread(void *arg)
{
    struct copier *c = arg;
    int64_t batch = c->run->plan->batch;

    while (c->status == AWA_OK && interrupt_signal() == 0 && clock_us() < c->run->until_us) {
        number(c, atomic_fetch_add(&c->run->next, batch));
        c->status = copy(c, &c->error);
        c->copied += c->status == AWA_OK ? batch : 0;
    }
    return NULL;
}

static awa_status
prepare(struct run *run, const char *conninfo, awa_error *err)
{
    awa_status s = AWA_OK;

    for (int64_t i = 0; i < run->n && s == AWA_OK; i++) {
        run->each[i].run = run;
        s = encode(&run->each[i], err);
        if (s == AWA_OK)
            s = awa_connect(conninfo, &run->each[i].conn, err);
    }
    return s;
}

static awa_status
start(struct run *run, awa_error *err)
{
    for (int64_t i = 0; i < run->n; i++) {
        errno = pthread_create(&run->each[i].thread, NULL, copier_thread, &run->each[i]);
        if (errno != 0)
            return awa__fail(err, AWA_ESYS, "floor: no thread: %m");
        run->each[i].started = true;
    }
    return AWA_OK;
}

static void
join(struct run *run)
{
    for (int64_t i = 0; i < run->n; i++)
        if (run->each[i].started) {
            pthread_join(run->each[i].thread, NULL);
            run->each[i].started = false;
        }
}

static void
auto_run(struct run **run)
{
    if (*run == NULL)
        return;
    join(*run);
    for (int64_t i = 0; i < (*run)->n; i++) {
        PQfinish((*run)->each[i].conn);
        buffer_done(&(*run)->each[i].rows);
    }
    free(*run);
}

/* ---- From outside ------------------------------------------------------------------------ */

static awa_status
exec(PGconn *conn, const struct awa__sql *sql, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    return awa__query(conn, sql, NULL, &res, err);
}

static awa_status
measure(struct run *run, int64_t us, struct floor_sum *sum, awa_error *err)
{
    int64_t began = clock_us();
    awa_status s;

    run->until_us = began + us;
    s = start(run, err);
    join(run);
    sum->us += clock_us() - began;
    for (int64_t i = 0; i < run->n; i++) {
        sum->rows += run->each[i].copied;
        if (s == AWA_OK && run->each[i].status != AWA_OK) {
            s = run->each[i].status;
            *err = run->each[i].error;
        }
    }
    return s == AWA_OK ? interrupt_check(err) : s;
}

awa_status
floor_run(const char *conninfo, const struct plan *plan, int64_t us, struct floor_sum *sum,
          awa_error *err)
{
    size_t n = (size_t)plan->producers;
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(run) struct run *run = calloc(1, sizeof *run + n * sizeof run->each[0]);
    awa_status s;

    if (run == NULL)
        return awa__fail(err, AWA_ENOMEM, "floor: out of memory");
    run->plan = plan;
    run->n = plan->producers;
    s = awa_connect(conninfo, &conn, err);
    if (s == AWA_OK)
        s = exec(conn, SQL_BENCH_FLOOR_CREATE, err);
    if (s == AWA_OK)
        s = prepare(run, conninfo, err);
    if (s == AWA_OK)
        s = measure(run, us, sum, err);
    if (s == AWA_OK)
        s = exec(conn, SQL_BENCH_FLOOR_DROP, err);
    return s;
}
