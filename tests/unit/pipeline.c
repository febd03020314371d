/* SPDX-License-Identifier: MIT */
/* Pipelines, on a libpq that plays a script: an answer belongs to its question, or the session is
 * given up. */
#include "test.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pg/conn.h"
#include "pg/pg.h"
#include "statements_lib.h"
#include "statements_worker.h"

#define ANSWER PGRES_TUPLES_OK
#define SYNC   PGRES_PIPELINE_SYNC
#define ERROR  PGRES_FATAL_ERROR
#define END    (-1) /* of a statement: NULL */
#define SILENT (-2) /* nothing more has arrived */

enum { SCRIPT_MAX = 12, QUESTIONS = 2 };

static const int *script;
static PGconn *const there = (PGconn *)&script;
static int64_t waited_ms; /* the clock says so, and nobody waits */
static bool shut;

/* ---- The system -------------------------------------------------------------------------- */

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
    int code = (int)syscall(SYS_clock_gettime, clock, ret);

    ret->tv_sec += waited_ms / 1000;
    return code;
}

int
poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    (void)fds, (void)n;
    waited_ms += timeout_ms;
    return 0;
}

int
shutdown(int fd, int how)
{
    (void)fd, (void)how;
    shut = true;
    return 0;
}

/* ---- libpq ------------------------------------------------------------------------------- */

PGpipelineStatus
PQpipelineStatus(const PGconn *conn)
{
    (void)conn;
    return PQ_PIPELINE_OFF;
}

int
PQenterPipelineMode(PGconn *conn)
{
    (void)conn;
    return 1;
}

int
PQexitPipelineMode(PGconn *conn)
{
    (void)conn;
    return 1;
}

int
PQsendQueryParams(PGconn *conn, const char *text, int n, const Oid *types,
                  const char *const *values, const int *lengths, const int *formats, int binary)
{
    (void)conn, (void)text, (void)n, (void)types, (void)values, (void)lengths, (void)formats;
    (void)binary;
    return 1;
}

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

int
PQsocket(const PGconn *conn)
{
    (void)conn;
    return -1;
}

int
PQconsumeInput(PGconn *conn)
{
    (void)conn;
    return 1;
}

char *
PQerrorMessage(const PGconn *conn)
{
    (void)conn;
    return (char *)"an error";
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

/* ---- A worker's session ------------------------------------------------------------------ */

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

/* ---- The library's beginning of a COPY ---------------------------------------------------- */

static void
a_transaction_begins_whole_or_the_session_is_shut(void **state)
{
    static const struct {
        const char *name;
        int says[SCRIPT_MAX];
        const char *complaint; /* NULL: it began */
        bool shut;
    } cases[] = {
        { "both", { ANSWER, END, ANSWER, END, SYNC, SILENT }, NULL, false },
        { "no transaction", { ERROR, END, ERROR, END, SYNC, SILENT }, "an error", false },
        { "no reservation", { ANSWER, END, ERROR, END, SYNC, SILENT }, "an error", false },
        { "another answer for the sync",
          { ANSWER, END, ANSWER, END, ERROR, SILENT },
          "end of the answer is missing",
          true },
        { "no memory for the sync",
          { ANSWER, END, ANSWER, END, SILENT },
          "end of the answer is missing",
          true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PGresult *res = NULL;
        awa_error err = { 0 };
        awa_status s;

        script = cases[i].says;
        shut = false;
        s = awa__begin_query(there, SQL_POSITIONS_RESERVE, NULL, &res, &err);
        if (s != (cases[i].complaint == NULL ? AWA_OK : AWA_ECONN) ||
            (cases[i].complaint != NULL && strstr(err.message, cases[i].complaint) == NULL) ||
            (res != NULL) != (s == AWA_OK) || shut != cases[i].shut || *script != SILENT)
            fail_msg("%s: got %d, %s, %s", cases[i].name, (int)s, err.message,
                     shut ? "shut" : "open");
        PQclear(res);
    }
}

/* ---- Whether a session still does its work ------------------------------------------------ */

static void
a_session_on_which_nothing_works_is_given_up(void **state)
{
    static const awa_error bad = { .status = AWA_EDB, .sqlstate = "XX000" };
    static const awa_error full = { .status = AWA_EBUSY, .sqlstate = "53100" };
    static const awa_error stale = { .status = AWA_ESTALE, .sqlstate = "JQ003" };
    static const awa_error read_only = { .status = AWA_EDB, .sqlstate = "25006" };
    struct vitals v = { 0 };

    (void)state;
    assert_false(vitals_note(&v, &bad, 1000));
    assert_false(vitals_note(&v, &full, 4001)); /* two are not enough */
    assert_true(vitals_note(&v, &bad, 4002));
    assert_false(vitals_note(&v, NULL, 4003)); /* one that goes well, and all is forgotten */
    for (int i = 0; i < 100; i++)
        assert_false(vitals_note(&v, &bad, 5000 + 29 * i)); /* nor is a short time */
    assert_true(vitals_note(&v, &bad, 8000));
    assert_false(vitals_note(&v, &stale, 8001)); /* by a rule of ours: it lives */
    assert_false(vitals_note(&v, &bad, 20000));
    assert_true(vitals_note(&v, &read_only, 20001));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_session_on_which_nothing_works_is_given_up),
        TEST(a_transaction_begins_whole_or_the_session_is_shut),
        TEST(an_answer_belongs_to_its_question_or_to_none),
    };

    return TEST_RUN(tests);
}
