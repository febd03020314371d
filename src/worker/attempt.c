/* SPDX-License-Identifier: MIT */
/* See attempt.h; and the functions of awa.h about one attempt. */
#include "worker/attempt.h"

#include <endian.h>
#include <string.h>
#include <sys/eventfd.h>

#include <arpa/inet.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "lib/insert.h"
#include "worker/core.h"

enum {
    ERROR_MAX = 8192,         /* bytes; awa.error_entry() cuts at as many characters */
    OUTPUT_MAX = 1024 * 1024, /* bytes; the limit of awa.read_output() */
    FOLLOW_MAX = 10           /* the limit of awa.check_asked() */
};

static int64_t
int64_at(const PGresult *rows, int row, int column)
{
    uint64_t n;

    memcpy(&n, PQgetvalue(rows, row, column), sizeof n);
    return (int64_t)be64toh(n);
}

static int
int16_at(const PGresult *rows, int row, int column)
{
    uint16_t n;

    memcpy(&n, PQgetvalue(rows, row, column), sizeof n);
    return (int16_t)ntohs(n);
}

static uint32_t
int32_of(const char *bytes)
{
    uint32_t n;

    memcpy(&n, bytes, sizeof n);
    return ntohl(n);
}

/* Converts a timestamptz, microseconds since 2000, to milliseconds since 1970; NULL to 0. */
static int64_t
time_at(const PGresult *rows, int row, int column)
{
    if (PQgetisnull(rows, row, column))
        return 0;
    return int64_at(rows, row, column) / 1000 + INT64_C(946684800000);
}

/* jsonb in binary form is a version byte and the text. */
static const char *
json_at(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column) + 1;
}

static void
read_row(struct awa_attempt *job, const PGresult *rows, int row)
{
    job->row = row;
    job->pos = int64_at(rows, row, COL_POS);
    job->id = int64_at(rows, row, COL_ID);
    job->slot = int16_at(rows, row, COL_SLOT);
    job->attempt = int16_at(rows, row, COL_ATTEMPT);
    job->max_attempts = int16_at(rows, row, COL_MAX_ATTEMPTS);
    job->enqueued_ms = time_at(rows, row, COL_ENQUEUED);
    job->deadline_ms = time_at(rows, row, COL_DEADLINE);
}

static int
by_position(const void *a, const void *b)
{
    const struct awa_attempt *const *x = a, *const *y = b;

    return ((*x)->pos > (*y)->pos) - ((*x)->pos < (*y)->pos);
}

struct batch *
batch_new(PGresult **rows, struct awa_worker *worker, struct identity *identity, const char *queue)
{
    size_t n = (size_t)PQntuples(*rows);
    struct awa_attempt *jobs = calloc(n, sizeof *jobs);
    struct batch *b = calloc(1, sizeof *b + n * sizeof b->jobs[0]);

    if (b == NULL || jobs == NULL) {
        free(b);
        free(jobs);
        return NULL;
    }
    b->rows = TAKE(*rows);
    b->identity = identity;
    b->claim_id = int64_at(b->rows, 0, COL_CLAIM);
    b->n = b->open = n;
    b->bytes = PQresultMemorySize(b->rows) + sizeof *b + n * (sizeof *jobs + sizeof b->jobs[0]);
    for (size_t i = 0; i < n; i++) {
        struct awa_attempt *job = &jobs[i];

        job->worker = worker;
        job->batch = b;
        job->queue = queue;
        read_row(job, b->rows, (int)i);
        job->known = worker_knows(worker, awa_attempt_kind(job));
        atomic_init(&job->cancelled, AWA_GO_ON);
        atomic_init(&job->cancel_fd, -1);
        b->jobs[i] = job;
    }
    b->memory = jobs;
    qsort(b->jobs, n, sizeof b->jobs[0], by_position); /* entries out of gaps may come first */
    return b;
}

void
batch_free(struct batch *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->n; i++) {
        int fd = atomic_load(&b->jobs[i]->cancel_fd);

        free(b->jobs[i]->error);
        free(b->jobs[i]->output);
        free(b->jobs[i]->follow);
        if (fd >= 0)
            (void)close(fd);
    }
    free(b->memory);
    PQclear(b->rows);
    free(b);
}

void
awa_attempt_begun(awa_attempt *attempt)
{
    struct awa_worker *w = attempt->worker;

    pthread_mutex_lock(&w->lock);
    if (w->in_trouble) {
        w->begun++;
        worker_wake(w);
    }
    pthread_mutex_unlock(&w->lock);
}

void
attempt_cancel(struct awa_attempt *attempt, awa_cancel why)
{
    int none = AWA_GO_ON, fd;

    if (!atomic_compare_exchange_strong(&attempt->cancelled, &none, why))
        return;
    fd = atomic_load(&attempt->cancel_fd);
    if (fd >= 0)
        (void)eventfd_write(fd, 1);
    worker_note_cancel(attempt->worker, attempt);
}

int64_t
awa_attempt_id(const awa_attempt *job)
{
    return job->id;
}

const char *
awa_attempt_kind(const awa_attempt *job)
{
    return PQgetvalue(job->batch->rows, job->row, COL_KIND);
}

const char *
awa_attempt_queue(const awa_attempt *job)
{
    return job->queue;
}

const char *
awa_attempt_args(const awa_attempt *job, size_t *ret_length)
{
    if (ret_length != NULL)
        *ret_length = (size_t)PQgetlength(job->batch->rows, job->row, COL_ARGS) - 1;
    return json_at(job->batch->rows, job->row, COL_ARGS);
}

const char *
awa_attempt_metadata(const awa_attempt *job)
{
    return json_at(job->batch->rows, job->row, COL_METADATA);
}

/*
 * A text[] in binary form: dimensions, flags, type, number and lower bound, then each element after
 * its length. A tag ends as a C string does, with a byte 0: after it comes the first byte of the
 * next length, which is 0 because all tags of a job have at most 8 KiB, or the NUL that libpq adds
 * to the value.
 */
enum { TAGS_NULLS = 4, TAGS_NUMBER = 12, TAGS_FIRST = 20 };

size_t
awa_attempt_ntags(const awa_attempt *job)
{
    const PGresult *rows = job->batch->rows;
    const char *tags = PQgetvalue(rows, job->row, COL_TAGS);

    if (PQgetlength(rows, job->row, COL_TAGS) < TAGS_FIRST) /* NULL, or empty */
        return 0;
    if (int32_of(tags) != 1 || int32_of(tags + TAGS_NULLS) != 0) /* COPY takes any text[] */
        return 0;
    return int32_of(tags + TAGS_NUMBER);
}

const char *
awa_attempt_tag(const awa_attempt *job, size_t i)
{
    const char *at;

    if (i >= awa_attempt_ntags(job))
        return NULL;
    at = PQgetvalue(job->batch->rows, job->row, COL_TAGS) + TAGS_FIRST;
    for (; i > 0; i--)
        at += sizeof(uint32_t) + int32_of(at);
    return at + sizeof(uint32_t);
}

int64_t
awa_attempt_number(const awa_attempt *job)
{
    return job->attempt;
}

int64_t
awa_attempt_max_attempts(const awa_attempt *job)
{
    return job->max_attempts;
}

int64_t
awa_attempt_worker(const awa_attempt *job)
{
    return job->batch->identity->id;
}

int64_t
awa_attempt_run_lease(const awa_attempt *job)
{
    return job->batch->claim_id;
}

int64_t
awa_attempt_position(const awa_attempt *job)
{
    return job->pos;
}

int64_t
awa_attempt_enqueued_ms(const awa_attempt *job)
{
    return job->enqueued_ms;
}

int64_t
awa_attempt_deadline_ms(const awa_attempt *job)
{
    return job->deadline_ms;
}

awa_cancel
awa_attempt_cancelled(const awa_attempt *job)
{
    return (awa_cancel)atomic_load(&job->cancelled);
}

int
awa_attempt_cancel_fd(awa_attempt *job)
{
    int fd = atomic_load(&job->cancel_fd);

    if (fd >= 0)
        return fd;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_store(&job->cancel_fd, fd);
    if (fd >= 0 && awa_attempt_cancelled(job) != AWA_GO_ON)
        (void)eventfd_write(fd, 1); /* attempt_cancel() may have come before the descriptor */
    return fd;
}

/*
 * Makes a copy that the database accepts: valid UTF-8 without NUL, cut at max bytes between two
 * characters. A bad byte becomes '?', so that a job's text cannot prevent its end. NULL: out of
 * memory.
 */
static char *
clean_copy(const char *text, size_t len, size_t max)
{
    size_t n = 0;
    char *copy;

    if (len > max)
        for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
            len--;
    copy = malloc(len + 1);
    if (copy == NULL)
        return NULL;
    while (n < len) {
        size_t width = utf8_width(text + n, len - n);

        if (width == 0 || text[n] == '\0') {
            copy[n++] = '?';
            continue;
        }
        memcpy(copy + n, text + n, width);
        n += width;
    }
    copy[n] = '\0';
    return copy;
}

static awa_status
set_text(char **field, const char *text, size_t len, size_t max)
{
    char *copy = clean_copy(text, len, max);

    if (copy == NULL)
        return AWA_ENOMEM;
    free(*field);
    *field = copy;
    return AWA_OK;
}

awa_status
awa_attempt_set_output(awa_attempt *job, const char *json, size_t length)
{
    if (json == NULL || length > OUTPUT_MAX)
        return AWA_EINVAL;
    return set_text(&job->output, json, length, OUTPUT_MAX);
}

awa_status
awa_attempt_follow(awa_attempt *attempt, const awa_job_options *job, awa_error *reterr)
{
    AUTO(buffer) struct buffer list = { 0 };
    awa_status s;

    if (attempt == NULL || job == NULL)
        return awa__fail(reterr, AWA_EINVAL, "follow: want an attempt and a job");
    if (attempt->nfollow == FOLLOW_MAX)
        return awa__fail(reterr, AWA_EINVAL, "follow: want at most %d", FOLLOW_MAX);
    buffer_text(&list, attempt->follow != NULL ? attempt->follow : "[");
    if (attempt->follow != NULL && !list.failed)
        list.data[list.len - 1] = ','; /* in place of its ] */
    s = awa__job_json(&list, job, reterr);
    if (s != AWA_OK)
        return s;
    buffer_text(&list, "]");
    if (list.failed)
        return awa__fail(reterr, AWA_ENOMEM, "follow: out of memory");
    free(attempt->follow);
    attempt->follow = TAKE(list.data);
    attempt->nfollow++;
    return AWA_OK;
}

awa_status
awa_attempt_set_error(awa_attempt *job, const char *text)
{
    if (text == NULL)
        return AWA_EINVAL;
    return set_text(&job->error, text, strlen(text), ERROR_MAX);
}

void
awa_attempt_set_delay(awa_attempt *job, int64_t delay_ms)
{
    job->delay_ms = delay_ms > 0 ? delay_ms : 0;
    job->has_delay = true;
}
