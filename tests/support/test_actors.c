/* SPDX-License-Identifier: MIT */
/* See test_actors.h. */
#include "test_actors.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

#include "cli/spawn.h"

enum { BEAT_MS = 1000 };

static struct {
    pthread_mutex_t lock;
    atomic_bool any;
    char first[600];
} trouble = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- All of them ------------------------------------------------------------------------- */

void
actors_begin(void)
{
    trouble.first[0] = '\0';
    atomic_store(&trouble.any, false);
}

void
actors_start(struct actor *actors, int *n, void *(*run)(void *))
{
    struct actor *a = &actors[*n];

    *a = (struct actor){ .number = *n + 1, .seed = (unsigned)*n };
    assert_int_equal(pthread_create(&a->thread, NULL, run, a), 0);
    (*n)++;
}

void
actors_join(struct actor *actors, int n)
{
    for (int i = 0; i < n; i++)
        pthread_join(actors[i].thread, NULL);
}

void
actors_end(void)
{
    if (atomic_load(&trouble.any))
        fail_msg("%s", trouble.first);
}

void
actors_report(const char *what, const char *text)
{
    pthread_mutex_lock(&trouble.lock);
    if (!atomic_load(&trouble.any))
        snprintf(trouble.first, sizeof trouble.first, "%s: %s", what, text);
    atomic_store(&trouble.any, true);
    pthread_mutex_unlock(&trouble.lock);
}

bool
actors_in_trouble(void)
{
    return atomic_load(&trouble.any);
}

/* ---- One of them ------------------------------------------------------------------------- */

int
actor_dice(struct actor *a, int n)
{
    return rand_r(&a->seed) % n;
}

void
actor_nap(int ms)
{
    (void)poll(NULL, 0, ms);
}

bool
actor_enter(struct actor *a, const char *dsn)
{
    awa_error err;

    if (awa_connect(dsn, &a->conn, &err) == AWA_OK)
        return true;
    actors_report("connect", err.message);
    return false;
}

static PGresult *
ask(struct actor *a, const char *may_fail, const char *sql)
{
    PGresult *res = PQexec(a->conn, sql);
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK)
        return res;
    if (sqlstate == NULL || strstr(may_fail, sqlstate) == NULL)
        actors_report(sql, PQresultErrorMessage(res));
    PQclear(res);
    return NULL;
}

__attribute__((format(printf, 3, 0))) static PGresult *
ask_list(struct actor *a, const char *may_fail, const char *format, va_list list)
{
    AUTO(free) char *sql = NULL;

    if (vasprintf(&sql, format, list) < 0) {
        sql = NULL;
        actors_report(format, "out of memory");
        return NULL;
    }
    return ask(a, may_fail, sql);
}

PGresult *
actor_ask(struct actor *a, const char *may_fail, const char *format, ...)
{
    PGresult *res;
    va_list list;

    va_start(list, format);
    res = ask_list(a, may_fail, format, list);
    va_end(list);
    return res;
}

bool
actor_run(struct actor *a, const char *may_fail, const char *format, ...)
{
    AUTO(pgresult) PGresult *res = NULL;
    va_list list;

    va_start(list, format);
    res = ask_list(a, may_fail, format, list);
    va_end(list);
    return res != NULL;
}

/* ---- Workers ----------------------------------------------------------------------------- */

void
actor_hire(struct actor *a, const char *queues)
{
    a->worker = (int64_t)a->number << 32 | (unsigned)(a->worker + 1);
    actor_run(a, "", "SELECT awa.register_worker(%" PRId64 ", 'actor', '%s')", a->worker, queues);
}

void
actor_beat(struct actor *a)
{
    if (now_ms() - a->beat_at <= BEAT_MS)
        return;
    actor_run(a, "", "SELECT awa.heartbeat('{%" PRId64 "}')", a->worker);
    a->beat_at = now_ms();
}

PGresult *
actor_claim(struct actor *a, const char *queue, int max)
{
    return actor_ask(
        a, "", "SELECT id, claim_id, pos, ready_slot FROM awa.claim_jobs(%" PRId64 ", '%s', %d)",
        a->worker, queue, max);
}

int64_t
actor_number(const PGresult *res, int row, int column)
{
    return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

bool
actor_complete(struct actor *a, const PGresult *claimed, struct ranges *ret_done)
{
    AUTO(free) char *sql = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    size_t len = 0;
    int n = PQntuples(claimed);
    FILE *out = open_memstream(&sql, &len);

    fprintf(out, "SELECT awa.complete_jobs(%" PRId64 ", ARRAY[", a->worker);
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%s", i > 0 ? "," : "", PQgetvalue(claimed, i, CLAIMED_SLOT));
    fprintf(out, "]::smallint[], ARRAY[");
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%s", i > 0 ? "," : "", PQgetvalue(claimed, i, CLAIMED_CLAIM));
    fprintf(out, "]::bigint[], ARRAY[");
    for (int i = 0; i < n; i++)
        fprintf(out, "%s'{[%s,%s]}'", i > 0 ? "," : "", PQgetvalue(claimed, i, CLAIMED_POS),
                PQgetvalue(claimed, i, CLAIMED_POS));
    fprintf(out, "]::int8multirange[])");
    (void)fclose(out);
    res = ask(a, "", sql);
    return res != NULL && ranges_parse(ret_done, PQgetvalue(res, 0, 0));
}
