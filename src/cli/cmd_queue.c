/* SPDX-License-Identifier: MIT */
/* awa queue: look at queues, and change them. */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"

enum { DRAIN_BATCH = 1000 }; /* jobs cancelled in one transaction */

static const struct query list_query = { SQL_QUEUES_LIST, SQL_QUEUES_LIST_JSON };
static const struct query counts_query = { SQL_QUEUE_COUNTS, SQL_QUEUE_COUNTS_JSON };

static int
cmd_queue_list(struct call *call)
{
    return query_show(call, list_query, NULL);
}

static int
not_found(const char *queue)
{
    awa_error err;

    (void)awa__fail(&err, AWA_ENOTFOUND, "queue %s: not known", queue);
    return report(&err);
}

/* An answer about a queue that nobody has ever used or set has no rows, or no JSON. */
static bool
is_empty(const PGresult *res)
{
    return PQntuples(res) == 0 || PQgetisnull(res, 0, 0);
}

static int
cmd_queue_stats(struct call *call)
{
    const char *queue = call->nargs > 0 ? call->args[0] : NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (query_run(call, counts_query, (const char *[]){ queue }, &res, &err) != AWA_OK)
        return report(&err);
    if (queue != NULL && is_empty(res))
        return not_found(queue);
    if (call_flag(call, "json") && is_empty(res))
        puts("[]");
    else
        query_print(call, res);
    return EXIT_DONE;
}

/* ---- Pause, resume ----------------------------------------------------------------------- */

typedef awa_status change_queue(PGconn *conn, const char *queue, awa_error *err);

static int
change(const struct call *call, change_queue *how, const char *done)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_error err;
    awa_status s = session_open_engine(call, &conn, &err);

    if (s == AWA_OK)
        s = how(conn, call->args[0], &err);
    if (s != AWA_OK)
        return report(&err);
    say(call, "queue %s: %s", call->args[0], done);
    return EXIT_DONE;
}

static int
cmd_queue_pause(struct call *call)
{
    return change(call, awa_queue_pause, "paused; what runs, runs on");
}

static int
cmd_queue_resume(struct call *call)
{
    return change(call, awa_queue_resume, "resumed");
}

/* ---- Drain ------------------------------------------------------------------------------- */

/* How many jobs wait. Returns ENOTFOUND if the queue is not known. */
static awa_status
count_waiting(PGconn *conn, const char *queue, long long *ret_n, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__sql_run(conn, SQL_QUEUE_COUNTS, (const char *[]){ queue }, &res, err);

    if (s != AWA_OK)
        return s;
    if (is_empty(res))
        return awa__fail(err, AWA_ENOTFOUND, "queue %s: not known", queue);
    *ret_n = 0;
    for (int column = 1; column <= 3; column++) /* available, scheduled, retryable */
        *ret_n += strtoll(PQgetvalue(res, 0, column), NULL, 10);
    return AWA_OK;
}

static awa_status
cancel_waiting(PGconn *conn, const char *queue, long long *ret_n, awa_error *err)
{
    char max[12];
    long long n;

    snprintf(max, sizeof max, "%d", DRAIN_BATCH);
    *ret_n = 0;
    do {
        AUTO(pgresult) PGresult *res = NULL;
        awa_status s =
            awa__sql_run(conn, SQL_QUEUE_DRAIN, (const char *[]){ queue, max }, &res, err);

        if (s != AWA_OK)
            return s;
        n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
        *ret_n += n;
    } while (n == DRAIN_BATCH);
    return AWA_OK;
}

static int
cmd_queue_drain(struct call *call)
{
    bool dry_run = call_flag(call, "dry-run");
    AUTO(pgconn) PGconn *conn = NULL;
    long long n = 0;
    awa_error err;
    awa_status s;

    if (!dry_run && !call_flag(call, "yes"))
        return usage_error("%s: cancels what waits in %s; say --yes, or --dry-run to count it",
                           call->words, call->args[0]);
    s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = count_waiting(conn, call->args[0], &n, &err);
    if (s == AWA_OK && !dry_run)
        s = cancel_waiting(conn, call->args[0], &n, &err);
    if (s != AWA_OK)
        return report(&err);
    if (call_flag(call, "json"))
        printf("{\"%s\": %lld}\n", dry_run ? "waiting" : "cancelled", n);
    else
        printf("%lld jobs %s\n", n, dry_run ? "wait" : "cancelled");
    return EXIT_DONE;
}

/* ---- Set --------------------------------------------------------------------------------- */

/* A duration in ms as a parameter; NULL if the option was not given. */
static const char *
duration(const struct call *call, const char *option, char text[24])
{
    int64_t ms = call_number(call, option);

    snprintf(text, 24, "%lld", (long long)ms);
    return ms >= 0 ? text : NULL;
}

static awa_status
set_queue(const struct call *call, PGconn *conn, awa_error *err)
{
    char deadline[24], aging[24];
    const char *params[] = {
        call->args[0],
        call_text(call, "enqueue-shards"),
        duration(call, "deadline", deadline),
        duration(call, "aging", aging),
        call_flag(call, "reset") ? "t" : "f",
    };
    AUTO(pgresult) PGresult *res = NULL;

    return awa__sql_run(conn, SQL_QUEUE_SET, params, &res, err);
}

static int
cmd_queue_set(struct call *call)
{
    static const char *const any[] = { "enqueue-shards", "deadline", "aging", "reset" };
    AUTO(pgconn) PGconn *conn = NULL;
    bool given = false;
    awa_error err;
    awa_status s;

    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++)
        given |= call_flag(call, any[i]);
    if (!given)
        return usage_error("%s: nothing to set; see %s --help", call->words, call->words);
    s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = set_queue(call, conn, &err);
    if (s != AWA_OK)
        return report(&err);
    say(call, "queue %s: set", call->args[0]);
    return EXIT_DONE;
}

/* ---- The table --------------------------------------------------------------------------- */

static const struct option_spec drain_options[] = {
    { .name = "yes", .letter = 'y', .help = "do not ask: cancel them" },
    { .name = "dry-run", .help = "count them only" },
    { 0 },
};

static const struct option_spec set_options[] = {
    { .name = "enqueue-shards",
      .value = "N",
      .help = "lanes for each priority, 1 to 64; more than one loosens the order",
      .type = OPTION_NUMBER },
    { .name = "deadline",
      .value = "TIME",
      .help = "how long an attempt may take; 0s: as long as it likes",
      .type = OPTION_DURATION },
    { .name = "aging",
      .value = "TIME",
      .help = "after so long a waiting job counts as one priority higher; 0s: never",
      .type = OPTION_DURATION },
    { .name = "reset", .help = "what is not named here: back to the common settings" },
    { 0 },
};

const struct command queue_commands[] = {
    { .name = "list",
      .summary = "queues and their settings",
      .examples = "awa queue list",
      .run = cmd_queue_list },
    { .name = "stats",
      .summary = "exact counts of jobs in each state",
      .args = "[QUEUE]",
      .max_args = 1,
      .examples = "awa queue stats mail --json",
      .run = cmd_queue_stats },
    { .name = "pause",
      .summary = "workers claim nothing more; what runs, runs on",
      .args = "QUEUE",
      .min_args = 1,
      .max_args = 1,
      .examples = "awa queue pause mail",
      .run = cmd_queue_pause },
    { .name = "resume",
      .summary = "workers claim again",
      .args = "QUEUE",
      .min_args = 1,
      .max_args = 1,
      .examples = "awa queue resume mail",
      .run = cmd_queue_resume },
    { .name = "drain",
      .summary = "cancel what waits; what runs, runs on",
      .args = "QUEUE",
      .min_args = 1,
      .max_args = 1,
      .options = drain_options,
      .examples = "awa queue drain mail --dry-run\nawa queue drain mail --yes",
      .run = cmd_queue_drain },
    { .name = "set",
      .summary = "change the settings of a queue",
      .args = "QUEUE",
      .min_args = 1,
      .max_args = 1,
      .options = set_options,
      .examples = "awa queue set reports --deadline 2h --aging 0s",
      .run = cmd_queue_set },
    { 0 },
};
