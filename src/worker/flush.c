/* SPDX-License-Identifier: MIT */
/*
 * Tells the database how jobs ended. Jobs that simply completed are sent as ranges of positions, a
 * thousand in a hundred bytes. Jobs with another end, or with an output, are sent one by one, in
 * arrays. One statement of each kind is on the way at a time. Jobs that end meanwhile go with the
 * next one, so batches grow with the load. A statement is repeated if its answer was lost: it
 * closes only attempts that are still open.
 */
#include <string.h>

#include "base/clock.h"
#include "pg/ranges.h"
#include "statements_worker.h"
#include "worker/flush.h"
#include "worker/trouble.h"

enum {
    FLUSH_MAX = 20000,            /* jobs completed in one statement */
    DETAILED_MAX = 500,           /* jobs closed in one statement */
    WORDS_MAX = 16 * 1024 * 1024, /* bytes of errors and outputs at which no job is added */
    RETRY_MS = 200,               /* pause after a failure; doubles, with jitter */
    RETRY_MAX_MS = 5000,
    LATE_MS = 1000, /* if an end waits for so long, ends cannot be written */
};

/* Jobs whose ends are on the way, in one statement. */
struct flush {
    struct awa_worker *worker;
    int64_t since; /* monotonic ms: since when the oldest of them waits */
    size_t n;
    struct awa_attempt *jobs[];
};

static void completed(void *arg, void *tag, PGresult **res, const awa_error *err);
static void closed(void *arg, void *tag, PGresult **res, const awa_error *err);

/* ---- What handlers have finished --------------------------------------------------------- */

static void
take_one(struct awa_worker *w, struct awa_attempt *job)
{
    w->busy--;
    w->finished++;
    job->phase = JOB_DONE;
    if (job->trouble) {
        trouble_note(w, job->error);
        free(TAKE(job->error)); /* it is about this worker, not about the job */
    }
    if (job->end == END_IN_TRANSACTION || job->end == END_STALE) {
        worker_count_end(w, job->end, job->end == END_STALE);
        worker_job_closed(w, job);
    } else if (job->detailed) {
        list_push(&w->detailed, job);
    } else {
        job->batch->done++;
        w->simple++;
    }
}

void
flush_take_done(struct awa_worker *w)
{
    struct awa_attempt *job, *next;

    pthread_mutex_lock(&w->lock);
    job = list_take_all(&w->done);
    pthread_mutex_unlock(&w->lock);
    if (job != NULL && w->simple == 0 && w->detailed.n == 0)
        w->done_since = clock_ms();
    for (; job != NULL; job = next) {
        next = job->next;
        take_one(w, job);
    }
}

/* ---- How a statement goes ---------------------------------------------------------------- */

static void
pause_teller(struct teller *t)
{
    t->after = clock_ms() + worker_back_off(&t->backoff_ms, RETRY_MS, RETRY_MAX_MS);
}

static struct flush *
flush_new(struct awa_worker *w, struct teller *t, size_t max)
{
    struct flush *f = calloc(1, sizeof *f + max * sizeof f->jobs[0]);

    if (f == NULL) {
        worker_complain(w, &w->complaints, "flush: out of memory");
        pause_teller(t);
        return NULL;
    }
    f->worker = w;
    f->since = w->done_since;
    return f;
}

/* A statement failed: its jobs are done and not sent once more. They keep errors and outputs. */
static void
keep_for_later(struct awa_worker *w, struct flush *f)
{
    if ((w->simple == 0 && w->detailed.n == 0) || f->since < w->done_since)
        w->done_since = f->since;
    for (size_t i = 0; i < f->n; i++) {
        f->jobs[i]->phase = JOB_DONE;
        if (f->jobs[i]->detailed) {
            list_push(&w->detailed, f->jobs[i]);
        } else {
            f->jobs[i]->batch->done++;
            w->simple++;
        }
    }
    free(f);
}

/*
 * A pause follows, unless the session is gone: then the ends are sent as soon as there is another.
 */
static void
refused(struct awa_worker *w, struct teller *t, struct flush *f, const char *what,
        const awa_error *err)
{
    if (err->status != AWA_ECONN) {
        worker_complain(w, &w->complaints, "%s: %s", what, err->message);
        pause_teller(t);
    }
    keep_for_later(w, f);
}

/* A lack of memory may pass; a session that takes no statement for another reason is closed. */
static void
not_sent(struct awa_worker *w, struct teller *t, struct flush *f, const char *what,
         const awa_error *err)
{
    refused(w, t, f, what, err);
    if (err->status != AWA_ENOMEM)
        worker_drop_closes(w, err);
}

static void
went_through(struct awa_worker *w, struct teller *t)
{
    t->backoff_ms = 0;
    t->after = 0;
    if (w->ends_wait && !flush_is_stuck(w, clock_ms())) {
        w->ends_wait = false;
        worker_complain(w, &w->complaints, "ends are written again");
    }
}

/* ---- Jobs that simply completed ---------------------------------------------------------- */

struct columns {
    struct buffer slots, claims, positions;
};

static void
columns_end(struct columns *c)
{
    buffer_array_end(&c->slots);
    buffer_array_end(&c->claims);
    buffer_array_end(&c->positions);
}

static void
columns_done(struct columns *c)
{
    buffer_done(&c->slots);
    buffer_done(&c->claims);
    buffer_done(&c->positions);
}

static bool
is_simply_done(const struct awa_attempt *job)
{
    return job->phase == JOB_DONE && !job->detailed;
}

/*
 * Adds the done jobs of one batch, as one multirange for each slot. A range may include positions
 * that are not in the batch: the claim does not hold them, so the database passes over them.
 */
static void
add_batch(struct columns *c, struct batch *b, struct flush *f)
{
    int slot = -1;

    for (size_t i = 0; i < b->n && f->n < FLUSH_MAX; i++) {
        size_t last = i;

        if (!is_simply_done(b->jobs[i]))
            continue;
        while (last + 1 < b->n && f->n + (last + 1 - i) < FLUSH_MAX &&
               is_simply_done(b->jobs[last + 1]) && b->jobs[last + 1]->slot == b->jobs[i]->slot)
            last++;
        if (b->jobs[i]->slot != slot) {
            if (slot >= 0)
                buffer_text(&c->positions, "}\",");
            slot = b->jobs[i]->slot;
            buffer_array_int(&c->slots, slot);
            buffer_array_int(&c->claims, b->claim_id);
            buffer_text(&c->positions, "\"{");
        } else {
            buffer_text(&c->positions, ",");
        }
        buffer_format(&c->positions, "[%lld,%lld)", (long long)b->jobs[i]->pos,
                      (long long)b->jobs[last]->pos + 1);
        for (; i <= last; i++) {
            b->jobs[i]->phase = JOB_SENT;
            f->jobs[f->n++] = b->jobs[i];
            b->done--;
        }
        i--;
    }
    if (slot >= 0)
        buffer_text(&c->positions, "}\",");
}

static void
send_completed(struct awa_worker *w)
{
    const struct identity *identity = NULL;
    struct columns c = { 0 };
    struct flush *f = flush_new(w, &w->completing, w->simple < FLUSH_MAX ? w->simple : FLUSH_MAX);
    char worker[24];
    awa_error err;
    awa_status s = AWA_OK;

    if (f == NULL)
        return;
    buffer_array_begin(&c.slots);
    buffer_array_begin(&c.claims);
    buffer_array_begin(&c.positions);
    for (struct batch *b = w->batches; b != NULL && f->n < FLUSH_MAX; b = b->next) {
        if (b->done == 0 || (identity != NULL && b->identity != identity))
            continue;
        identity = b->identity;
        add_batch(&c, b, f);
    }
    columns_end(&c);
    w->simple -= f->n;
    snprintf(worker, sizeof worker, "%lld", (long long)identity->id);
    if (c.slots.failed || c.claims.failed || c.positions.failed)
        s = awa__fail(&err, AWA_ENOMEM, "complete: out of memory");
    else
        s = conn_submit(&w->closes, SQL_JOBS_COMPLETE,
                        (const char *[]){ worker, c.slots.data, c.claims.data, c.positions.data },
                        false, completed, f, &err);
    columns_done(&c);
    if (s == AWA_OK)
        w->completing.sent = f;
    else
        not_sent(w, &w->completing, f, "complete", &err);
}

static void
completed(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;
    struct flush *f = tag;
    struct ranges accepted = { 0 };
    size_t stale = 0;
    awa_error unread;

    w->completing.sent = NULL;
    if (err == NULL && !ranges_parse(&accepted, PQgetvalue(*res, 0, 0))) {
        (void)awa__fail(&unread, AWA_ENOMEM, "out of memory");
        err = &unread;
    }
    if (err != NULL) {
        refused(w, &w->completing, f, "complete", err);
        return;
    }
    went_through(w, &w->completing);
    for (size_t i = 0; i < f->n; i++) {
        stale += !ranges_contain(&accepted, f->jobs[i]->pos);
        worker_job_closed(w, f->jobs[i]);
    }
    worker_count(w, END_COMPLETED, f->n - stale, stale);
    ranges_done(&accepted);
    free(f);
}

/* ---- Jobs with another end, or an output ------------------------------------------------- */

static const char *const end_names[] = {
    [END_COMPLETED] = "completed", [END_FAILED] = "failed",   [END_CANCELLED] = "cancelled",
    [END_RETRIED] = "retried",     [END_SNOOZED] = "snoozed", [END_RELEASED] = "released",
    [END_EXPIRED] = "expired",     [END_SETTLED] = "retried", /* see count_answer() */
};

enum { SLOTS, CLAIMS, POSITIONS, OUTCOMES, ERRORS, OUTPUTS, DELAYS, FOLLOWS, WORDY_COLUMNS };

static void
add_detailed(struct buffer *c, const struct awa_attempt *job)
{
    buffer_array_int(&c[SLOTS], job->slot);
    buffer_array_int(&c[CLAIMS], job->batch->claim_id);
    buffer_array_int(&c[POSITIONS], job->pos);
    buffer_array_text(&c[OUTCOMES], end_names[job->end]);
    buffer_array_text(&c[ERRORS], job->error);
    buffer_array_text(&c[OUTPUTS], job->output);
    if (job->has_delay)
        buffer_array_int(&c[DELAYS], job->delay_ms);
    else
        buffer_array_null(&c[DELAYS]);
    buffer_array_text(&c[FOLLOWS], job->follow);
}

/* Moves the next jobs of one identity from `detailed` into a flush. */
static void
pick_detailed(struct awa_worker *w, struct flush *f, size_t max, struct buffer *columns)
{
    struct awa_attempt *job = list_take_all(&w->detailed), *next;
    const struct identity *identity = job->batch->identity;

    for (; job != NULL; job = next) {
        next = job->next;
        if (f->n == max ||
            columns[ERRORS].len + columns[OUTPUTS].len + columns[FOLLOWS].len >= WORDS_MAX ||
            job->batch->identity != identity) {
            list_push(&w->detailed, job);
            continue;
        }
        job->phase = JOB_SENT;
        add_detailed(columns, job);
        f->jobs[f->n++] = job;
    }
}

static void
send_closed(struct awa_worker *w)
{
    struct buffer columns[WORDY_COLUMNS] = { 0 };
    const char *params[WORDY_COLUMNS + 1];
    size_t limit = w->detailed_max < DETAILED_MAX ? w->detailed_max : DETAILED_MAX;
    size_t max = w->detailed.n < limit ? w->detailed.n : limit;
    struct flush *f = flush_new(w, &w->closing, max);
    char worker[24];
    bool failed = false;
    awa_error err;
    awa_status s;

    if (f == NULL)
        return;
    for (int c = 0; c < WORDY_COLUMNS; c++)
        buffer_array_begin(&columns[c]);
    pick_detailed(w, f, max, columns);
    snprintf(worker, sizeof worker, "%lld", (long long)f->jobs[0]->batch->identity->id);
    params[0] = worker;
    for (int c = 0; c < WORDY_COLUMNS; c++) {
        buffer_array_end(&columns[c]);
        failed |= columns[c].failed;
        params[c + 1] = columns[c].data;
    }
    s = failed ? awa__fail(&err, AWA_ENOMEM, "close: out of memory")
               : conn_submit(&w->closes, SQL_JOBS_CLOSE, params, false, closed, f, &err);
    for (int c = 0; c < WORDY_COLUMNS; c++)
        buffer_done(&columns[c]);
    if (s == AWA_OK)
        w->closing.sent = f;
    else
        not_sent(w, &w->closing, f, "close", &err);
}

/*
 * The database refused the end of this job, probably because of its error, its output or the jobs
 * that follow. They are logged and taken away, and the end is sent again; if jobs should have
 * followed, as a retry. If it is refused once more, the job stays open and is rescued when our
 * identity ends.
 */
static void
strip(struct awa_worker *w, struct awa_attempt *job, const char *why)
{
    char error[512];

    worker_log(w, "job %lld: what it had to say was refused: %s%s%s%s%s", (long long)job->id, why,
               job->error != NULL ? "; error: " : "", job->error != NULL ? job->error : "",
               job->output != NULL ? "; output: " : "", job->output != NULL ? job->output : "");
    free(TAKE(job->output));
    if (job->follow != NULL)
        job->end = END_RETRIED;
    free(TAKE(job->follow));
    if (job->stripped) {
        worker_job_closed(w, job);
        w->identity_lost = true;
        trouble_pause(w, &w->refused_ms); /* it comes again at once, and perhaps to us */
        return;
    }
    job->stripped = true;
    snprintf(error, sizeof error, "what the handler said was refused by the database: %s", why);
    awa__ignore(awa_attempt_set_error(job, error));
    job->phase = JOB_DONE;
    list_push(&w->detailed, job);
}

/*
 * We send a retry for AWA_SETTLED. If the answer is "stale", somebody has closed the attempt: we
 * take it that this was the program's transaction. Else the transaction did not, and the job is
 * retried.
 */
static void
count_answer(struct awa_worker *w, const struct awa_attempt *job, bool stale)
{
    if (job->end == END_SETTLED)
        worker_count_end(w, stale ? END_COMPLETED : END_RETRIED, false);
    else
        worker_count_end(w, job->end, stale);
}

/* The rows of the answer are in the order of the arrays that we sent. */
static void
take_answers(struct awa_worker *w, struct flush *f, const PGresult *res)
{
    for (size_t i = 0; i < f->n; i++) {
        struct awa_attempt *job = f->jobs[i];
        int row = (int)i;

        if (row >= PQntuples(res) || PQgetisnull(res, row, 1)) {
            strip(w, job, row < PQntuples(res) ? PQgetvalue(res, row, 2) : "no answer");
            continue;
        }
        w->refused_ms = 0;
        count_answer(w, job, strcmp(PQgetvalue(res, row, 1), "stale") == 0);
        worker_job_closed(w, job);
    }
}

static void
closed(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;
    struct flush *f = tag;

    w->closing.sent = NULL;
    if (err != NULL && err->status != AWA_ECONN)
        w->detailed_max = f->n > 1 ? f->n / 2 : 1; /* one job may be the reason: find it */
    if (err == NULL) {
        w->detailed_max = w->detailed_max < DETAILED_MAX ? w->detailed_max * 2 : DETAILED_MAX;
        take_answers(w, f, *res);
        free(f);
        went_through(w, &w->closing);
    } else if (err->status == AWA_EINVAL && f->n == 1) {
        strip(w, f->jobs[0], err->message);
        free(f);
        went_through(w, &w->closing);
    } else if (err->status == AWA_EINVAL) {
        keep_for_later(w, f);
        went_through(w, &w->closing);
    } else {
        refused(w, &w->closing, f, "close", err);
    }
}

/* ---- When -------------------------------------------------------------------------------- */

static bool
has_ends(const struct awa_worker *w, const struct teller *t)
{
    return t->sent == NULL && (t == &w->completing ? w->simple : w->detailed.n) > 0;
}

/*
 * After how many ms to send; -1: nothing is to be sent. A finished job waits for others, up to
 * FLUSH_MS, while the worker has jobs that have not ended.
 */
static int64_t
teller_wait(const struct awa_worker *w, const struct teller *t, int64_t now)
{
    if (!has_ends(w, t) || !conn_is_ready(&w->closes))
        return -1;
    if (now < t->after)
        return t->after - now;
    if (w->busy == 0 || w->simple + w->detailed.n >= (size_t)w->batch ||
        now - w->done_since >= FLUSH_MS)
        return 0;
    return w->done_since + FLUSH_MS - now;
}

int64_t
flush_wait(const struct awa_worker *w, int64_t now)
{
    int64_t simple = teller_wait(w, &w->completing, now),
            detailed = teller_wait(w, &w->closing, now);

    return simple < 0 || (detailed >= 0 && detailed < simple) ? detailed : simple;
}

void
flush_turn(struct awa_worker *w, int64_t now)
{
    bool simple = teller_wait(w, &w->completing, now) == 0;
    bool detailed = teller_wait(w, &w->closing, now) == 0;

    if (!simple && !detailed)
        return;
    if (simple)
        send_completed(w);
    if (detailed && conn_is_ready(&w->closes))
        send_closed(w);
    w->done_since = now; /* roughly right for jobs that were left */
}

/* Whether ends cannot be written. Then no jobs are claimed: they would only make more ends. */
bool
flush_is_stuck(const struct awa_worker *w, int64_t now)
{
    const struct teller *tellers[] = { &w->completing, &w->closing };
    int64_t oldest = now;

    for (size_t i = 0; i < 2; i++) {
        if (tellers[i]->backoff_ms > 0)
            return true;
        if (tellers[i]->sent != NULL && tellers[i]->sent->since < oldest)
            oldest = tellers[i]->sent->since;
        if (has_ends(w, tellers[i]) && w->done_since < oldest)
            oldest = w->done_since;
    }
    return now - oldest >= LATE_MS;
}
