/* SPDX-License-Identifier: MIT */
/* awa queue: look at queues, and change them. */
#include <string.h>

#include "base/buffer.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "statements_api.h"
#include "statements_cli.h"

enum { DRAIN_BATCH = 10000 }; /* jobs cancelled in one transaction */

static const struct query list_query = { SQL_QUEUES_LIST, SQL_QUEUES_LIST_JSON };
static const struct query counts_query = { SQL_QUEUE_COUNTS, SQL_QUEUE_COUNTS_JSON };
static const struct query fast_query = { SQL_QUEUE_COUNTS_FAST, SQL_QUEUE_COUNTS_FAST_JSON };

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
    struct query query = call_flag(call, "fast") ? fast_query : counts_query;
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (query_run(call, query, (const char *[]){ queue }, &res, &err) != AWA_OK)
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

/* ---- Remove ------------------------------------------------------------------------------ */

static int
cmd_queue_remove(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;
    awa_status s = session_open_engine(call, &conn, &err);

    if (s == AWA_OK)
        s = awa__sql_run(conn, SQL_QUEUE_REMOVE, (const char *[]){ call->args[0] }, &res, &err);
    if (s != AWA_OK)
        return report(&err);
    if (strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        return not_found(call->args[0]);
    say(call, "queue %s: removed; its ended jobs stay as long as they are kept", call->args[0]);
    return EXIT_DONE;
}

/* ---- Set --------------------------------------------------------------------------------- */

enum setting_type { SETTING_NUMBER, SETTING_DURATION, SETTING_SWITCH };

/* In the order of the parameters of queue_set.sql, behind the queue. */
static const struct {
    const char *option;
    const char *name; /* what awa.set_queue() calls it */
    enum setting_type type;
} settings[] = {
    { "enqueue-shards", "enqueue_shards", SETTING_NUMBER },
    { "deadline", "deadline", SETTING_DURATION },
    { "aging", "aging_interval", SETTING_DURATION },
    { "dlq", "dlq_enabled", SETTING_SWITCH },
    { "keep-completed", "completed_retention", SETTING_DURATION },
    { "keep-failed", "failed_retention", SETTING_DURATION },
    { "keep-dead", "dlq_retention", SETTING_DURATION },
};

enum { NSETTINGS = sizeof settings / sizeof settings[0] };

/* What was given, as parameters: a value, or the name among those that go back to the default. */
struct change {
    char durations[NSETTINGS][24];
    const char *values[NSETTINGS]; /* NULL: stays as it is */
    struct buffer defaults;        /* an array literal */
    bool given;
};

static awa_status
read_setting(struct change *c, size_t i, const char *text, awa_error *err)
{
    int64_t ms;

    c->given = true;
    if (strcmp(text, "default") == 0) {
        buffer_array_text(&c->defaults, settings[i].name);
        return AWA_OK;
    }
    c->values[i] = text;
    switch (settings[i].type) {
    case SETTING_NUMBER:
        if (*text != '\0' && text[strspn(text, "0123456789")] == '\0')
            return AWA_OK;
        return awa__fail(err, AWA_EINVAL, "--%s: want a number or default, got '%s'",
                         settings[i].option, text);
    case SETTING_SWITCH:
        if (strcmp(text, "on") == 0 || strcmp(text, "off") == 0)
            return AWA_OK;
        return awa__fail(err, AWA_EINVAL, "--%s: want on, off or default, got '%s'",
                         settings[i].option, text);
    case SETTING_DURATION:
        break;
    }
    if (awa__duration_parse(text, strlen(text), &ms, err) != AWA_OK)
        return awa__fail(err, AWA_EINVAL, "--%s: %s", settings[i].option, err->message);
    snprintf(c->durations[i], sizeof c->durations[i], "%lld", (long long)ms);
    c->values[i] = c->durations[i];
    return AWA_OK;
}

static awa_status
read_change(const struct call *call, struct change *c, awa_error *err)
{
    awa_status s = AWA_OK;

    c->given = call_flag(call, "reset");
    buffer_array_begin(&c->defaults);
    for (size_t i = 0; i < NSETTINGS && s == AWA_OK; i++)
        if (call_flag(call, settings[i].option))
            s = read_setting(c, i, call_text(call, settings[i].option), err);
    buffer_array_end(&c->defaults);
    if (s == AWA_OK && !c->given)
        return awa__fail(err, AWA_EINVAL, "%s: nothing to set; see %s --help", call->words,
                         call->words);
    if (s == AWA_OK && c->defaults.failed)
        return awa__fail(err, AWA_ENOMEM, "set: out of memory");
    return s;
}

static awa_status
set_queue(const struct call *call, const struct change *c, PGconn *conn, awa_error *err)
{
    const char *params[] = {
        call->args[0],
        c->values[0],
        c->values[1],
        c->values[2],
        call_flag(call, "reset") ? "t" : "f",
        c->values[3],
        c->values[4],
        c->values[5],
        c->values[6],
        c->defaults.data,
    };
    AUTO(pgresult) PGresult *res = NULL;

    return awa__sql_run(conn, SQL_QUEUE_SET, params, &res, err);
}

static int
cmd_queue_set(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    struct change change = { 0 };
    awa_error err;
    awa_status s = read_change(call, &change, &err);

    if (s == AWA_OK)
        s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = set_queue(call, &change, conn, &err);
    buffer_done(&change.defaults);
    if (s != AWA_OK)
        return report(&err);
    say(call, "queue %s: set", call->args[0]);
    return EXIT_DONE;
}

/* ---- Defaults ---------------------------------------------------------------------------- */

static const struct query defaults_query = { SQL_DEFAULTS_LIST, SQL_DEFAULTS_LIST_JSON };

static bool
sets_anything(const struct call *call)
{
    for (const struct option_spec *o = call->command->options; o->name != NULL; o++)
        if (call_flag(call, o->name))
            return true;
    return false;
}

/* The common settings: all but the first of settings[], in this order. */
static awa_status
set_defaults(const struct call *call, const struct change *c, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = session_open_engine(call, &conn, err);

    return s == AWA_OK ? awa__sql_run(conn, SQL_DEFAULTS_SET, &c->values[1], &res, err) : s;
}

static int
cmd_queue_defaults(struct call *call)
{
    struct change change = { 0 };
    awa_error err;
    awa_status s = AWA_OK;

    if (!sets_anything(call))
        return query_show(call, defaults_query, NULL);
    for (size_t i = 1; i < NSETTINGS && s == AWA_OK; i++)
        if (call_flag(call, settings[i].option))
            s = read_setting(&change, i, call_text(call, settings[i].option), &err);
    if (s == AWA_OK && change.defaults.len > 0)
        s = awa__fail(&err, AWA_EINVAL, "%s: a default has no default", call->words);
    if (s == AWA_OK)
        s = set_defaults(call, &change, &err);
    buffer_done(&change.defaults);
    if (s != AWA_OK)
        return report(&err);
    say(call, "defaults: set");
    return EXIT_DONE;
}

/* ---- The table --------------------------------------------------------------------------- */

static const struct option_spec drain_options[] = {
    { .name = "yes", .letter = 'y', .help = "do not ask: cancel them" },
    { .name = "dry-run", .help = "count them only" },
    { 0 },
};

static const struct option_spec stats_options[] = {
    { .name = "fast", .help = "bounds at a bounded cost, instead of exact counts" },
    { 0 },
};

/* clang-format off */
#define COMMON_OPTIONS \
    { .name = "deadline", .value = "TIME", \
      .help = "how long an attempt may take; 0s: as long as it likes", .type = OPTION_TEXT }, \
    { .name = "aging", .value = "TIME", \
      .help = "after so long a waiting job counts as one priority higher; 0s: never", \
      .type = OPTION_TEXT }, \
    { .name = "dlq", .value = "SWITCH", \
      .help = "on: jobs that fail from now on go to the dead-letter queue", \
      .type = OPTION_TEXT }, \
    { .name = "keep-completed", .value = "TIME", \
      .help = "retention of completed and cancelled jobs, while there is room", \
      .type = OPTION_TEXT }, \
    { .name = "keep-failed", .value = "TIME", \
      .help = "retention of failed jobs: so long they can be retried", .type = OPTION_TEXT }, \
    { .name = "keep-dead", .value = "TIME", .help = "retention of dead letters", \
      .type = OPTION_TEXT }
/* clang-format on */

static const struct option_spec defaults_options[] = { COMMON_OPTIONS, { 0 } };

static const struct option_spec set_options[] = {
    { .name = "enqueue-shards",
      .value = "N",
      .help = "lanes for each priority, 1 to 64; more than one loosens the order",
      .type = OPTION_TEXT },
    COMMON_OPTIONS,
    { .name = "reset", .help = "what is not named here, but the shards: back to the default" },
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
      .options = stats_options,
      .notes =
          "completed, failed and cancelled jobs are those that are kept; dead ones are in the\n"
          "dead-letter queue; of pruned ones only the number is left: --json tells of which.\n"
          "--fast is for gauges: the leader's last report, at most 5 s old. Each column has its\n"
          "bound: available is at most what it says; deferred and dead are exact up to 1,000 in\n"
          "all queues; running is what workers held at their last heartbeat; completed, failed\n"
          "and cancelled are what is folded or pruned, without what ended just now.",
      .examples = "awa queue stats mail --json\n"
                  "awa queue stats --fast",
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
      .notes = "Each may be default: as the common settings say. awa queue list shows what is set.",
      .examples = "awa queue set reports --deadline 2h --aging 0s\n"
                  "awa queue set mail --dlq on --keep-dead 90d --keep-failed default",
      .run = cmd_queue_set },
    { .name = "defaults",
      .summary = "the common settings, which count where a queue has none of its own",
      .options = defaults_options,
      .notes = "Without an option it prints them.",
      .examples = "awa queue defaults\nawa queue defaults --deadline 15m --keep-completed 6h",
      .run = cmd_queue_defaults },
    { .name = "remove",
      .summary = "forget a queue that is not used any more",
      .args = "QUEUE",
      .min_args = 1,
      .max_args = 1,
      .notes =
          "Refused while it has jobs that have not ended, dead letters or workers. Its counts go\n"
          "when its ended jobs are not kept any more; an insert makes the queue anew.",
      .examples = "awa queue remove mail-2025",
      .run = cmd_queue_remove },
    { 0 },
};
