/* SPDX-License-Identifier: MIT */
/* See world.h. */
#include "world.h"

#include <inttypes.h>
#include <string.h>

/* ---- Asking ------------------------------------------------------------------------------ */

static void
note(struct world *w, const char *answer)
{
    char *line = w->lines[w->nlines++ % LINES_MAX];

    snprintf(line, sizeof w->lines[0], "%5d  %.420s  ->  %.120s", w->step, w->sql, answer);
    if (w->loud)
        print_error("%s\n", line);
}

/* Columns joined by '|', rows by a space. */
static void
keep_answer(struct world *w, const PGresult *res)
{
    size_t len = 0, size = sizeof w->answer;

    w->answer[0] = '\0';
    for (int r = 0; r < PQntuples(res); r++)
        for (int c = 0; c < PQnfields(res) && len < size; c++)
            len += (size_t)snprintf(w->answer + len, size - len, "%s%s",
                                    c > 0 ? "|" : (r > 0 ? " " : ""), PQgetvalue(res, r, c));
    if (len >= size)
        model_trouble(&w->m, "too long an answer to\n%s", w->sql);
}

/* The statement's rows, or its SQLSTATE. */
static const char *try_list(struct world *w, PGconn *conn, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static const char *
try_list(struct world *w, PGconn *conn, const char *format, va_list args)
{
    AUTO(pgresult) PGresult *res = NULL;
    ExecStatusType status;

    vsnprintf(w->sql, sizeof w->sql, format, args);
    res = PQexec(conn, w->sql);
    status = PQresultStatus(res);
    w->failed = status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK;
    if (!w->failed) {
        keep_answer(w, res);
        if (PQntuples(res) == 0 && status == PGRES_COMMAND_OK)
            snprintf(w->answer, sizeof w->answer, "%s", PQcmdTuples(res));
        note(w, w->answer);
    } else {
        const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

        note(w, PQresultErrorMessage(res));
        snprintf(w->answer, sizeof w->answer, "%s", sqlstate != NULL ? sqlstate : "no answer");
    }
    return w->answer;
}

const char *
try(struct world *w, PGconn *conn, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)try_list(w, conn, format, args);
    va_end(args);
    return w->answer;
}

const char *
ask(struct world *w, PGconn *conn, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)try_list(w, conn, format, args);
    va_end(args);
    if (w->failed)
        model_trouble(&w->m, "%s\nfailed: %s", w->sql, w->answer);
    return w->answer;
}

void
expect(struct world *w, const char *format, ...)
{
    char want[1000];
    va_list args;

    va_start(args, format);
    vsnprintf(want, sizeof want, format, args);
    va_end(args);
    if (strcmp(w->answer, want) != 0)
        model_trouble(&w->m, "%s\nshould answer %s, not %s", w->sql, want, w->answer);
}

/* ---- Comparing --------------------------------------------------------------------------- */

static const char recount[] = "SELECT coalesce(trouble, ''), coalesce(counts, ''),"
                              " coalesce(jobs, '') FROM test.recount($1)";

void
count_followed(struct world *w)
{
    ask(w, w->db,
        "WITH d AS (DELETE FROM awa.deferred_jobs WHERE queue = 'next' RETURNING id)"
        " SELECT count(*) FROM d");
    w->followed += strtoll(w->answer, NULL, 10);
}

void
compare(struct world *w, bool scan)
{
    const char *arg = scan ? "t" : "f";
    AUTO(pgresult) PGresult *res = NULL;

    count_followed(w);
    res = PQexecPrepared(w->db, "recount", 1, &arg, NULL, NULL, 0);
    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        model_trouble(&w->m, "recount: %s", PQresultErrorMessage(res));
        return;
    }
    if (PQgetlength(res, 0, 0) > 0)
        model_trouble(&w->m, "%s", PQgetvalue(res, 0, 0));
    model_compare(&w->m, PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2));
    if (w->followed != (w->follows ? w->m.ends : 0))
        model_trouble(&w->m, "%" PRId64 " jobs have ended, and %" PRId64 " have followed",
                      w->m.ends, w->followed);
}

void
compare_prepare(struct world *w)
{
    AUTO(pgresult) PGresult *res = PQprepare(w->db, "recount", recount, 0, NULL);

    assert_int_equal(PQresultStatus(res), PGRES_COMMAND_OK);
}

void
compare_old(struct world *w, bool scan)
{
    const char *arg = scan ? "t" : "f";
    AUTO(pgresult) PGresult *res = PQexecParams(w->old, recount, 1, NULL, &arg, NULL, NULL, 0);
    char now[sizeof w->then];

    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        model_trouble(&w->m, "recount on an old snapshot: %s", PQresultErrorMessage(res));
        return;
    }
    if (PQgetlength(res, 0, 0) > 0)
        model_trouble(&w->m, "on an old snapshot: %s", PQgetvalue(res, 0, 0));
    snprintf(now, sizeof now, "%s\n%s", PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2));
    if (w->then[0] == '\0')
        memcpy(w->then, now, sizeof now);
    else if (strcmp(w->then, now) != 0)
        model_trouble(&w->m, "an old snapshot saw\n%s\nand sees now\n%s", w->then, now);
}

/* ---- The rules of the model -------------------------------------------------------------- */

int
below(unsigned *seed, int n)
{
    return rand_r(seed) % n;
}

bool
chance(unsigned *seed, int n)
{
    return below(seed, n) == 0;
}

struct model_job *
pick(struct world *w, unsigned *seed, unsigned states)
{
    struct model_job *found[MODEL_JOBS_MAX];
    int n = 0;

    for (int i = 0; i < w->m.n; i++)
        if (MODEL_IS(&w->m.jobs[i], states) && w->m.jobs[i].id != w->held_id)
            found[n++] = &w->m.jobs[i];
    return n > 0 ? found[below(seed, n)] : NULL;
}

const struct verb *
pick_verb(unsigned *seed, enum verb_sort sort, bool weighed)
{
    int all = 0, at;

    for (size_t i = 0; i < nverbs; i++)
        if (verbs[i].sort == sort)
            all += weighed ? verbs[i].weight : 1;
    at = below(seed, all);
    for (size_t i = 0;; i++) {
        if (verbs[i].sort == sort)
            at -= weighed ? verbs[i].weight : 1;
        if (at < 0)
            return &verbs[i];
    }
}

bool
may_live(const struct world *w, const struct model_job *job)
{
    for (int i = 0; i < w->m.n && job->key > 0; i++) {
        const struct model_job *other = &w->m.jobs[i];

        if (other->key == job->key && other->id != job->id && MODEL_IS(other, MODEL_LIVE))
            return false;
    }
    return true;
}

void
apply(struct world *w, const struct verb *v, struct model_job *job)
{
    int before = job->ends;

    if (job->state == MODEL_RUNNING)
        w->past[w->npast++ % PAST_MAX] = *job;
    verb_apply(v, job, w->slot, w->dlq[job->queue]);
    w->m.ends += job->ends - before;
    job->since = w->step;
    if (job->state == MODEL_GONE)
        model_remove(&w->m, job);
}

void
may_apply(struct world *w, const struct verb *v, struct model_job *job)
{
    struct model_job then = *job;

    verb_apply(v, &then, w->slot, w->dlq[job->queue]);
    job->may = true;
    job->may_state = then.state;
    job->may_slot = then.slot;
}
