/* SPDX-License-Identifier: MIT */
/* The pipeline, on a libpq that plays a script: answers match questions, or the session is given
 * up. */
#include "test.h"

#include "worker/conn.h"

#define ANSWER PGRES_TUPLES_OK
#define SYNC   PGRES_PIPELINE_SYNC
#define ERROR  PGRES_FATAL_ERROR
#define END    (-1) /* of a statement: NULL */
#define SILENT (-2) /* nothing more has arrived */

enum { SCRIPT_MAX = 12, QUESTIONS = 2 };

static const int *script;
static PGconn *const there = (PGconn *)&script;

/* ---- What conn.c asks of libpq ----------------------------------------------------------- */

int
PQsendQueryPrepared(PGconn *conn, const char *name, int n, const char *const *values,
                    const int *lengths, const int *formats, int binary)
{
    (void)conn, (void)name, (void)n, (void)values, (void)lengths, (void)formats, (void)binary;
    return 1;
}

int
PQpipelineSync(PGconn *conn)
{
    (void)conn;
    return 1;
}

int
PQflush(PGconn *conn)
{
    (void)conn;
    return 0;
}

int
PQisBusy(PGconn *conn)
{
    (void)conn;
    return *script == SILENT;
}

PGresult *
PQgetResult(PGconn *conn)
{
    int next = *script++;

    (void)conn;
    return next == END ? NULL : PQmakeEmptyPGresult(NULL, (ExecStatusType)next);
}

PGnotify *
PQnotifies(PGconn *conn)
{
    (void)conn;
    return NULL;
}

ConnStatusType
PQstatus(const PGconn *conn)
{
    (void)conn;
    return CONNECTION_OK;
}

void
PQfinish(PGconn *conn)
{
    (void)conn;
}

/* ---- Tests ------------------------------------------------------------------------------- */

struct answered {
    int times;
    awa_status status; /* of the last one */
};

static void
note(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct answered *a = tag;

    (void)arg;
    (void)res;
    a->times++;
    a->status = err != NULL ? err->status : AWA_OK;
}

/* Two questions, and what each got once everything in the script has arrived. */
static awa_status
play(const int *says, struct answered *ret)
{
    struct conn c = { .pg = there };
    awa_error err;
    awa_status s;

    script = says;
    for (int i = 0; i < QUESTIONS; i++) {
        ret[i] = (struct answered){ 0 };
        test_ok(conn_submit(&c, SQL_JOBS_COMPLETE, NULL, false, note, &ret[i], &err), &err);
    }
    s = conn_dispatch(&c, 0, &err);
    conn_close(&c); /* as its owner does after a failure */
    return s;
}

static void
an_answer_belongs_to_its_question_or_to_none(void **state)
{
    static const struct {
        const char *name;
        int says[SCRIPT_MAX];
        awa_status want, first, second;
    } cases[] = {
        { "both", { ANSWER, END, SYNC, ANSWER, END, SYNC, SILENT }, AWA_OK, AWA_OK, AWA_OK },
        { "an error", { ERROR, END, SYNC, ANSWER, END, SYNC, SILENT }, AWA_OK, AWA_ECONN, AWA_OK },
        { "two results", { ANSWER, ANSWER, END, SYNC, SILENT }, AWA_OK, AWA_OK, AWA_ECONN },
        { "no sync yet", { ANSWER, END, SILENT }, AWA_OK, AWA_ECONN, AWA_ECONN },
        { "no memory for the first sync",
          { ANSWER, END, ERROR, ANSWER, END, SYNC, SILENT },
          AWA_ECONN,
          AWA_ECONN,
          AWA_ECONN },
        { "no memory for the second sync",
          { ANSWER, END, SYNC, ANSWER, END, ERROR, SILENT },
          AWA_ECONN,
          AWA_OK,
          AWA_ECONN },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answered got[QUESTIONS];
        awa_status s = play(cases[i].says, got);

        if (s != cases[i].want || got[0].status != cases[i].first ||
            got[1].status != cases[i].second || got[0].times != 1 || got[1].times != 1)
            fail_msg("%s: got %d, then %d (%d times) and %d (%d times)", cases[i].name, (int)s,
                     (int)got[0].status, got[0].times, (int)got[1].status, got[1].times);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(an_answer_belongs_to_its_question_or_to_none),
    };

    return TEST_RUN(tests);
}
