/* SPDX-License-Identifier: MIT */
/*
 * The producer: a thread with a session of its own, and one transaction for each directory. It
 * keeps few jobs in the queue, so that the measured pickup times are not those of waiting behind
 * others.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

enum {
    AHEAD = 16,   /* with so many jobs in the queue, it waits */
    BATCH = 1000, /* jobs in one statement */
    TICK_MS = 1,
};

static void
mark(const struct feed *f, size_t from, const int64_t *ids, size_t n, size_t waiting)
{
    for (size_t i = 0; i < n; i++) {
        struct note *note = board_note(f->board, ids[i]);

        f->list->items[from + i].id = ids[i];
        if (note != NULL && waiting + i < (size_t)WORKERS * THREADS)
            atomic_store(&note->no_queue, true);
    }
}

/* How many jobs wait in the queue: no handler has begun them, or they are not rescued yet. */
static size_t
waiting(const struct feed *f)
{
    size_t enqueued = atomic_load(&f->enqueued);
    size_t begun = (size_t)atomic_load(&f->board->started) + atomic_load(&f->held);

    return enqueued > begun ? enqueued - begun : 0;
}

/* Inserts n jobs in one statement. */
static bool
insert(struct feed *f, PGconn *conn, size_t from, size_t n, awa_error *err)
{
    awa_job_options jobs[BATCH];
    int64_t ids[BATCH];
    size_t before = waiting(f);
    bool ok = true;

    for (size_t i = 0; i < n; i++) {
        char *args = args_of_path(f->list->items[from + i].path);

        ok = ok && args != NULL;
        jobs[i] = (awa_job_options){
            .size = sizeof jobs[i], .kind = KIND, .args_json = args, .max_attempts = ATTEMPTS
        };
    }
    if (ok)
        ok = awa_jobs_insert(conn, jobs, n, ids, err) == AWA_OK;
    else
        snprintf(err->message, sizeof err->message, "out of memory");
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)jobs[i].args_json);
    if (ok)
        mark(f, from, ids, n, before);
    return ok;
}

static bool
run(PGconn *conn, const char *sql, awa_error *err)
{
    PGresult *res = PQexec(conn, sql);
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;

    if (!ok)
        snprintf(err->message, sizeof err->message, "%s", PQerrorMessage(conn));
    PQclear(res);
    return ok;
}

static bool
feed_directory(struct feed *f, PGconn *conn, size_t from, size_t end, awa_error *err)
{
    if (!run(conn, "BEGIN", err))
        return false;
    for (size_t at = from; at < end; at += BATCH)
        if (!insert(f, conn, at, end - at < BATCH ? end - at : BATCH, err))
            return false;
    if (!run(conn, "COMMIT", err))
        return false;
    atomic_fetch_add(&f->enqueued, end - from);
    atomic_fetch_add(&f->transactions, 1);
    return true;
}

static void *
feed_thread(void *arg)
{
    struct feed *f = arg;
    PGconn *conn = base_connect(f->conninfo);
    awa_error err = { 0 };
    bool ok = conn != NULL;

    for (size_t at = 0, end; ok && at < f->list->n && !atomic_load(&f->stop); at = end) {
        while (waiting(f) >= AHEAD && !atomic_load(&f->stop))
            (void)poll(NULL, 0, TICK_MS);
        end = list_directory_end(f->list, at);
        ok = atomic_load(&f->stop) || feed_directory(f, conn, at, end, &err);
    }
    if (!ok && conn != NULL)
        (void)complain("enqueue: %s", err.message);
    PQfinish(conn);
    atomic_store(&f->failed, !ok);
    return NULL;
}

bool
feed_start(struct feed *f)
{
    int error = pthread_create(&f->thread, NULL, feed_thread, f);

    f->started = error == 0;
    return f->started || complain("enqueue: no thread: %s", strerrordesc_np(error));
}

void
feed_stop(struct feed *f)
{
    if (!f->started)
        return;
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    f->started = false;
}
