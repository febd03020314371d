/* SPDX-License-Identifier: MIT */
/* See fuzz_job.h. The row has the binary form of jobs_claim.sql. */
#include "fuzz_job.h"

#include <string.h>

#include "base/buffer.h"

enum { COLUMNS = COL_TAGS + 1, TEXT_OID = 25 };

void
fuzz_job_log(void *userdata, const char *line)
{
    struct fuzz_job *j = userdata;

    REQUIRE(strchr(line, '\0') != NULL);
    j->logged++;
}

static void
set(PGresult *rows, int column, struct buffer *b)
{
    REQUIRE(!b->failed);
    REQUIRE(PQsetvalue(rows, 0, column, b->data, (int)b->len));
    buffer_done(b);
}

static void
set_number(PGresult *rows, int column, int bytes, int64_t n)
{
    struct buffer b = { 0 };

    if (bytes == 2)
        buffer_int16(&b, (int)n);
    else
        buffer_int64(&b, n);
    set(rows, column, &b);
}

/* prefix: of what comes before the text, nothing or the version of jsonb. */
static void
set_text(PGresult *rows, int column, const char *prefix, const char *text)
{
    struct buffer b = { 0 };

    if (text == NULL) {
        REQUIRE(PQsetvalue(rows, 0, column, NULL, -1));
        return;
    }
    buffer_text(&b, prefix);
    buffer_text(&b, text);
    set(rows, column, &b);
}

static void
set_tags(PGresult *rows, const char *const *tags, size_t n)
{
    struct buffer b = { 0 };

    buffer_int32(&b, n > 0); /* dimensions */
    buffer_int32(&b, 0);
    buffer_int32(&b, TEXT_OID);
    if (n > 0) {
        buffer_int32(&b, (int64_t)n);
        buffer_int32(&b, 1);
    }
    for (size_t i = 0; i < n; i++) {
        buffer_int32(&b, (int64_t)strlen(tags[i]));
        buffer_text(&b, tags[i]);
    }
    set(rows, COL_TAGS, &b);
}

static PGresult *
make_rows(const struct fuzz_words *words)
{
    static char name[] = "c";
    PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[COLUMNS];

    for (int i = 0; i < COLUMNS; i++)
        columns[i] = (PGresAttDesc){ .name = name, .format = 1 };
    REQUIRE(rows != NULL && PQsetResultAttrs(rows, COLUMNS, columns));
    set_number(rows, COL_POS, 8, 7);
    set_number(rows, COL_ID, 8, 8);
    set_number(rows, COL_CLAIM, 8, 9);
    set_number(rows, COL_SLOT, 2, 1);
    set_number(rows, COL_ATTEMPT, 2, 2);
    set_number(rows, COL_MAX_ATTEMPTS, 2, 3);
    set_text(rows, COL_KIND, "", words->kind);
    set_text(rows, COL_ARGS, "\1", words->args);
    set_text(rows, COL_METADATA, "\1", words->metadata);
    set_number(rows, COL_ENQUEUED, 8, 0);
    if (words->deadline_us != 0)
        set_number(rows, COL_DEADLINE, 8, words->deadline_us);
    else
        set_text(rows, COL_DEADLINE, "", NULL);
    set_tags(rows, words->tags, words->ntags);
    return rows;
}

void
fuzz_job_init(struct fuzz_job *j, const struct fuzz_words *words)
{
    PGresult *rows = make_rows(words);

    *j = (struct fuzz_job){ 0 };
    j->batch = batch_new(&rows, &j->worker, &j->identity, words->queue);
    REQUIRE(j->batch != NULL && rows == NULL);
    j->job = j->batch->jobs[0];
}

void
fuzz_job_done(struct fuzz_job *j)
{
    batch_free(j->batch);
}
