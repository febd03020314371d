/* SPDX-License-Identifier: MIT */
/* awa queue: look at queues, and change them. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "statements_cli.h"

enum { DRAIN_BATCH = 10000 }; /* jobs cancelled in one transaction */

static awa_status
list_json(PGconn *conn, const void *nothing, char **ret_json, awa_error *err)
{
    (void)nothing;
    return awa_queues_list(conn, ret_json, err);
}

static int
cmd_queue_list(struct call *call)
{
    if (call_flag(call, "json"))
        return query_json(call, list_json, NULL);
    return query_show(call, SQL_QUEUES_LIST, NULL);
}

static awa_status
counts_json(PGconn *conn, const void *queue, char **ret_json, awa_error *err)
{
    return awa_queue_counts(conn, queue, ret_json, err);
}

static awa_status
gauges_json(PGconn *conn, const void *queue, char **ret_json, awa_error *err)
{
    return awa_queue_gauges(conn, queue, ret_json, err);
}

static int
cmd_queue_stats(struct call *call)
{
    const char *queue = call->nargs > 0 ? call->args[0] : NULL;
    bool fast = call_flag(call, "fast");
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (call_flag(call, "json"))
        return query_json(call, fast ? gauges_json : counts_json, queue);
    if (query_run(call, fast ? SQL_QUEUE_COUNTS_FAST : SQL_QUEUE_COUNTS, &queue, &res, &err) !=
        AWA_OK)
        return report(&err);
    if (queue != NULL && PQntuples(res) == 0) {
        (void)awa__fail(&err, AWA_ENOTFOUND, "queue %s: not known", queue);
        return report(&err);
    }
    print_table(call, res);
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

/* Counts the jobs of a queue that wait. Returns ENOTFOUND if the queue is not known. */
static awa_status
count_waiting(PGconn *conn, const char *queue, long long *ret_n, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(conn, SQL_QUEUE_COUNTS, (const char *[]){ queue }, &res, err);

    if (s != AWA_OK)
        return s;
    if (PQntuples(res) == 0)
        return awa__fail(err, AWA_ENOTFOUND, "queue %s: not known", queue);
    *ret_n = 0;
    for (int column = 1; column <= 3; column++) /* available, scheduled, retryable */
        *ret_n += strtoll(PQgetvalue(res, 0, column), NULL, 10);
    return AWA_OK;
}

static awa_status
cancel_waiting(PGconn *conn, const char *queue, long long *ret_n, awa_error *err)
{
    int64_t n = 0;

    *ret_n = 0;
    do {
        awa_status s = awa_queue_drain(conn, queue, DRAIN_BATCH, &n, err);

        if (s != AWA_OK)
            return s;
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
    return change(call, awa_queue_remove, "removed; its ended jobs stay as long as they are kept");
}

/* ---- Set --------------------------------------------------------------------------------- */

enum setting_type { SETTING_NUMBER, SETTING_DURATION, SETTING_SWITCH };

static const struct {
    const char *option;
    enum setting_type type;
    size_t offset; /* in awa_settings */
    bool common;   /* it is also a common setting, so --reset sets it to the default */
} settings[] = {
    { "enqueue-shards", SETTING_NUMBER, offsetof(awa_settings, enqueue_shards), false },
    { "deadline", SETTING_DURATION, offsetof(awa_settings, deadline_ms), true },
    { "aging", SETTING_DURATION, offsetof(awa_settings, aging_ms), true },
    { "dlq", SETTING_SWITCH, offsetof(awa_settings, dlq), true },
    { "keep-completed", SETTING_DURATION, offsetof(awa_settings, completed_retention_ms), true },
    { "keep-failed", SETTING_DURATION, offsetof(awa_settings, failed_retention_ms), true },
    { "keep-dead", SETTING_DURATION, offsetof(awa_settings, dlq_retention_ms), true },
};

enum { NSETTINGS = sizeof settings / sizeof settings[0] };

static awa_status
read_number(const char *option, const char *text, int64_t *ret, awa_error *err)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0)
        return AWA_OK;
    return awa__fail(err, AWA_EINVAL, "--%s: want a number or default, got '%s'", option, text);
}

static awa_status
read_switch(const char *option, const char *text, int64_t *ret, awa_error *err)
{
    *ret = strcmp(text, "on") == 0;
    if (*ret == 1 || strcmp(text, "off") == 0)
        return AWA_OK;
    return awa__fail(err, AWA_EINVAL, "--%s: want on, off or default, got '%s'", option, text);
}

static awa_status
read_duration(const char *option, const char *text, int64_t *ret, awa_error *err)
{
    if (awa__duration_parse(text, strlen(text), ret, err) == AWA_OK)
        return AWA_OK;
    return awa__fail(err, AWA_EINVAL, "--%s: %s", option, err->message);
}

static awa_status
read_setting(size_t i, const char *text, int64_t *ret, awa_error *err)
{
    static awa_status (*const readers[])(const char *, const char *, int64_t *, awa_error *) = {
        [SETTING_NUMBER] = read_number,
        [SETTING_DURATION] = read_duration,
        [SETTING_SWITCH] = read_switch,
    };
    awa_status s;

    if (strcmp(text, "default") == 0) {
        *ret = AWA_SETTING_DEFAULT;
        return AWA_OK;
    }
    s = readers[settings[i].type](settings[i].option, text, ret, err);
    if (s == AWA_OK && *ret == 0)
        *ret = AWA_SETTING_NONE;
    return s;
}

/* Reads the settings that the options give. */
static awa_status
read_settings(const struct call *call, awa_settings *ret, awa_error *err)
{
    bool reset = call_flag(call, "reset"), given = reset;

    *ret = *AWA_SETTINGS();
    for (size_t i = 0; i < NSETTINGS; i++) {
        int64_t *setting = (int64_t *)((char *)ret + settings[i].offset);
        const char *text = call_text(call, settings[i].option);
        awa_status s;

        if (reset && settings[i].common)
            *setting = AWA_SETTING_DEFAULT;
        if (text == NULL)
            continue;
        given = true;
        s = read_setting(i, text, setting, err);
        if (s != AWA_OK)
            return s;
    }
    if (given)
        return AWA_OK;
    return awa__fail(err, AWA_EINVAL, "%s: nothing to set; see %s --help", call->words,
                     call->words);
}

static int
cmd_queue_set(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_settings o;
    awa_error err;
    awa_status s = read_settings(call, &o, &err);

    if (s == AWA_OK)
        s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = awa_queue_set(conn, call->args[0], &o, &err);
    if (s != AWA_OK)
        return report(&err);
    say(call, "queue %s: set", call->args[0]);
    return EXIT_DONE;
}

/* ---- Defaults ---------------------------------------------------------------------------- */

static awa_status
defaults_json(PGconn *conn, const void *nothing, char **ret_json, awa_error *err)
{
    (void)nothing;
    return awa_defaults_get(conn, ret_json, err);
}

static bool
sets_anything(const struct call *call)
{
    for (const struct option_spec *o = call->command->options; o->name != NULL; o++)
        if (call_flag(call, o->name))
            return true;
    return false;
}

static int
cmd_queue_defaults(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_settings o;
    awa_error err;
    awa_status s;

    if (!sets_anything(call) && call_flag(call, "json"))
        return query_json(call, defaults_json, NULL);
    if (!sets_anything(call))
        return query_show(call, SQL_DEFAULTS_LIST, NULL);
    s = read_settings(call, &o, &err);
    if (s == AWA_OK)
        s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = awa_defaults_set(conn, &o, &err);
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
    { .name = "reset", .help = "set all other settings, except the shards, to default" },
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
