/* SPDX-License-Identifier: MIT */
/* awa bench: measures how fast awa is on this machine, and at what cost. */
#include <string.h>

#include "bench/counts.h"
#include "bench/place.h"
#include "bench/report.h"
#include "bench/round.h"
#include "bench/scheduled.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "pg/interrupt.h"
#include "statements_bench.h"

/* One run of the command. */
struct bench {
    struct call *call;
    struct plan plan;
    struct pace pace;
    char *home; /* conninfo of the server; NULL: the PG* variables */
    PGresult *server;
    double overall[METRICS_MAX], min[METRICS_MAX], max[METRICS_MAX];
};

static void
auto_bench(struct bench *b)
{
    PQclear(b->server);
    free(b->home);
}

/* ---- Options ----------------------------------------------------------------------------- */

static awa_status
read_plan(const struct call *call, struct plan *plan, awa_error *err)
{
    awa_status s = AWA_OK;

    *plan =
        (struct plan){ .database = call_text(call, "database"),
                       .floor = call_flag(call, "floor"),
                       .follow = call_flag(call, "follow"),
                       .hold = call_flag(call, "hold-snapshot") ? HOLD_SNAPSHOT : HOLD_NOTHING };
    for (const struct option_spec *o = call->command->options; o->name != NULL; o++) {
        int64_t number = o->type == OPTION_NUMBER ? call_number(call, o->name) : -1;

        if (s == AWA_OK && number >= 0)
            s = plan_set(plan, o->name, number, err);
    }
    if (s == AWA_OK && call_text(call, "door") != NULL)
        s = plan_set_door(plan, call_text(call, "door"), err);
    if (s == AWA_OK && call_text(call, "hold-transaction") != NULL)
        s = plan_set_hold(plan, call_text(call, "hold-transaction"), err);
    if (s == AWA_OK && call_text(call, "prefetch") != NULL)
        s = plan_set_prefetch(plan, call_text(call, "prefetch"), err);
    return s == AWA_OK ? plan_complete(plan, err) : s;
}

static void
add_option(struct buffer *out, const struct bench *b, const struct option_spec *o)
{
    buffer_format(out, "%s\"%s\": ", out->len > 1 ? ", " : "", o->name);
    if (o->type == OPTION_FLAG)
        buffer_text(out, call_flag(b->call, o->name) ? "true" : "false");
    else if (o->type == OPTION_NUMBER)
        buffer_format(out, "%lld", (long long)plan_get(&b->plan, o->name));
    else if (call_text(b->call, o->name) != NULL)
        buffer_json_string(out, call_text(b->call, o->name));
    else
        buffer_text(out, "null");
}

/* Adds the options as the bench used them, with its defaults. */
static void
add_options(struct buffer *out, const struct bench *b)
{
    buffer_text(out, "{");
    for (const struct option_spec *o = b->call->command->options; o->name != NULL; o++)
        add_option(out, b, o);
    buffer_text(out, "}");
}

static awa_status
open_bench(struct bench *b, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = read_plan(b->call, &b->plan, err);

    if (s == AWA_OK)
        s = session_dsn(b->call, &b->home, err);
    if (s == AWA_OK)
        s = awa_connect(b->home, &conn, err);
    if (s == AWA_OK)
        s = awa__query(conn, SQL_BENCH_SERVER, NULL, &b->server, err);
    pace_init(&b->pace, !call_flag(b->call, "quiet"));
    return s;
}

/* ---- Output ------------------------------------------------------------------------------ */

static void
print_server(const PGresult *server)
{
    for (int i = 0; i < PQntuples(server); i++)
        printf("%s%s %s", i > 0 ? ", " : "", PQgetvalue(server, i, 0), PQgetvalue(server, i, 1));
    puts("");
}

static awa_status
print_bench(const struct bench *b, const struct metric *metrics, size_t n, awa_error *err)
{
    AUTO(buffer) struct buffer options = { 0 };
    AUTO(buffer) struct buffer json = { 0 };
    AUTO(pgresult) PGresult *table = NULL;

    add_options(&options, b);
    const struct report report = { .mode = b->call->command->name,
                                   .options = options.data,
                                   .server = b->server,
                                   .metrics = metrics,
                                   .n = n,
                                   .rounds = b->plan.repeat,
                                   .overall = b->overall,
                                   .min = b->min,
                                   .max = b->max };
    report_json(&report, &json);
    table = report_table(&report);
    if (options.failed || json.failed || table == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    if (call_flag(b->call, "json")) {
        fputs(json.data, stdout);
        return AWA_OK;
    }
    print_server(b->server);
    print_table(b->call, table);
    return AWA_OK;
}

/* An error if jobs were lost or ran twice: then the numbers mean nothing. */
static awa_status
check_balance(const struct bench *b, awa_error *err)
{
    if (b->overall[LOST] == 0 && b->overall[DUPLICATED] == 0)
        return AWA_OK;
    return awa__fail(err, AWA_EDB, "bench: %.0f jobs were lost, %.0f ran twice", b->overall[LOST],
                     b->overall[DUPLICATED]);
}

/* ---- insert, drain, steady --------------------------------------------------------------- */

/* Each round has a database of its own. */
static awa_status
run_round(struct bench *b, const struct flow *flow, double *values, awa_error *err)
{
    AUTO(place) struct place *place = NULL;
    awa_status s = interrupt_check(err);

    if (s == AWA_OK)
        s = place_new(b->home, b->plan.database, &place, err);
    if (s == AWA_OK)
        s = round_run(flow, &b->plan, place->conninfo, &b->pace, values, err);
    return s;
}

static void
sum_up(struct bench *b, const double *rounds, double *column)
{
    size_t n = (size_t)b->plan.repeat;

    for (size_t m = 0; m < FLOW_METRICS; m++) {
        for (size_t i = 0; i < n; i++)
            column[i] = rounds[i * FLOW_METRICS + m];
        b->min[m] = metric_min(column, n);
        b->max[m] = metric_max(column, n);
        b->overall[m] = metric_overall(&flow_metrics[m], column, n);
    }
}

static awa_status
run_rounds(struct bench *b, const struct flow *flow, awa_error *err)
{
    size_t n = (size_t)b->plan.repeat;
    AUTO(free) double *rounds = calloc(n * FLOW_METRICS, sizeof *rounds);
    AUTO(free) double *column = calloc(n, sizeof *column);
    awa_status s = AWA_OK;

    if (rounds == NULL || column == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    for (size_t i = 0; i < n && s == AWA_OK; i++)
        s = run_round(b, flow, rounds + i * FLOW_METRICS, err);
    if (s == AWA_OK)
        sum_up(b, rounds, column);
    return s;
}

static int
bench_flow(struct call *call, const struct flow *flow)
{
    AUTO(bench) struct bench b = { .call = call };
    awa_error err;
    awa_status s;

    interrupt_catch(false);
    s = open_bench(&b, &err);
    if (s == AWA_OK)
        s = run_rounds(&b, flow, &err);
    if (s == AWA_OK)
        s = print_bench(&b, flow_metrics, FLOW_METRICS, &err);
    if (s == AWA_OK)
        s = check_balance(&b, &err);
    return s == AWA_OK ? EXIT_DONE : report(&err);
}

static int
cmd_bench_insert(struct call *call)
{
    return bench_flow(call, &flow_insert);
}

static int
cmd_bench_drain(struct call *call)
{
    return bench_flow(call, &flow_drain);
}

static int
cmd_bench_steady(struct call *call)
{
    return bench_flow(call, &flow_steady);
}

/* ---- Benches that have no rounds --------------------------------------------------------- */

typedef awa_status bench_run(struct bench *b, awa_error *err);

static int
bench_report(struct call *call, bench_run *run, const struct metric *metrics, size_t n)
{
    AUTO(bench) struct bench b = { .call = call };
    awa_error err;
    awa_status s;

    interrupt_catch(false);
    s = open_bench(&b, &err);
    if (s == AWA_OK)
        s = run(&b, &err);
    if (s == AWA_OK)
        s = print_bench(&b, metrics, n, &err);
    return s == AWA_OK ? EXIT_DONE : report(&err);
}

/* ---- scheduled --------------------------------------------------------------------------- */

static awa_status
run_scheduled(struct bench *b, awa_error *err)
{
    AUTO(place) struct place *empty = NULL;
    AUTO(place) struct place *full = NULL;
    AUTO(free) char *name = NULL;
    awa_status s;

    if (asprintf(&name, "%s_full", b->plan.database) < 0)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    s = place_new(b->home, b->plan.database, &empty, err);
    if (s == AWA_OK)
        s = place_new(b->home, name, &full, err);
    if (s == AWA_OK)
        s = scheduled_run(&b->plan, empty->conninfo, full->conninfo, &b->pace, b->overall, b->min,
                          b->max, err);
    return s;
}

static int
cmd_bench_scheduled(struct call *call)
{
    return bench_report(call, run_scheduled, scheduled_metrics, SCHEDULED_METRICS);
}

/* ---- counts ------------------------------------------------------------------------------ */

static awa_status
run_counts(struct bench *b, awa_error *err)
{
    AUTO(place) struct place *place = NULL;
    awa_status s = place_new(b->home, b->plan.database, &place, err);

    if (s == AWA_OK)
        s = counts_run(&b->plan, place->conninfo, &b->pace, b->overall, b->min, b->max, err);
    return s;
}

static int
cmd_bench_counts(struct call *call)
{
    return bench_report(call, run_counts, counts_metrics, COUNTS_METRICS);
}

/* ---- The table --------------------------------------------------------------------------- */

/* clang-format off */
#define NUMBER(name_, value_, standard_, help_) \
    { .name = (name_), .value = (value_), .standard = (standard_), .help = (help_), \
      .type = OPTION_NUMBER }

#define INSERT_OPTIONS \
    NUMBER("producers", "N", "2", "threads that insert, each with a session"), \
    NUMBER("batch", "N", NULL, "jobs in a transaction; 1000, or fewer for a low rate or depth"), \
    NUMBER("payload-bytes", "N", "75", "arguments of a job, JSON text"), \
    NUMBER("shards", "N", "1", "lanes that the queue is spread over"), \
    NUMBER("rollback-percent", "N", "0", "transactions of producers that are rolled back")

#define WORK_OPTIONS \
    NUMBER("workers", "N", "1", "workers, each with sessions of its own"), \
    NUMBER("threads", "N", "4", "handler threads of a worker"), \
    NUMBER("claim-batch", "N", "1000", "a worker claims at most so many jobs at once"), \
    { .name = "prefetch", .value = "N", .standard = "0", \
      .help = "unstarted jobs that a worker holds; -1: none, 0: as needed", \
      .type = OPTION_TEXT }, \
    NUMBER("handler-us", "N", "0", "a handler takes so long: it spins up to 50, sleeps above")

#define ROUND_OPTIONS \
    NUMBER("repeat", "N", "1", "rounds; prints medians"), \
    { .name = "floor", .help = "measure plain COPY before and after, half the seconds each" }, \
    { .name = "hold-snapshot", \
      .help = "others keep a snapshot and an uncommitted job all the time" }, \
    { .name = "hold-transaction", .value = "DB", \
      .help = "open all the time; same: here, with a job; other: elsewhere", \
      .type = OPTION_TEXT }

#define DATABASE_OPTION \
    { .name = "database", .value = "NAME", .standard = "awa_bench", \
      .help = "made on the server for the bench, then dropped", .type = OPTION_TEXT }
/* clang-format on */

static const struct option_spec insert_options[] = {
    NUMBER("seconds", "N", "5", "how long to measure"),
    NUMBER("warmup", "N", "1", "seconds before that"),
    { .name = "door",
      .value = "DOOR",
      .standard = "copy",
      .help = "copy: awa_jobs_copy; sql: awa_jobs_insert; one: awa_job_insert",
      .type = OPTION_TEXT },
    INSERT_OPTIONS,
    ROUND_OPTIONS,
    DATABASE_OPTION,
    { 0 },
};

static const struct option_spec drain_options[] = {
    NUMBER("jobs", "N", "100000", "jobs that are there at the start"),
    NUMBER("seconds", "N", "5", "how long to measure the floor"),
    INSERT_OPTIONS,
    WORK_OPTIONS,
    ROUND_OPTIONS,
    DATABASE_OPTION,
    { 0 },
};

static const struct option_spec steady_options[] = {
    NUMBER("seconds", "N", "5", "how long to measure"),
    NUMBER("warmup", "N", "1", "seconds before that"),
    NUMBER("rate", "N", NULL, "open loop: so many jobs per second, evenly"),
    NUMBER("depth", "N", NULL, "closed loop: so many jobs on their way; 20000"),
    { .name = "door",
      .value = "DOOR",
      .standard = "copy",
      .help = "copy: awa_jobs_copy; sql: awa_jobs_insert; one: awa_job_insert",
      .type = OPTION_TEXT },
    INSERT_OPTIONS,
    WORK_OPTIONS,
    NUMBER("fail-percent", "N", "0", "handlers that fail for good"),
    { .name = "follow", .help = "another job follows from each; a worker more runs those" },
    NUMBER("slot-bytes", "N", NULL, "size at which a slot of the ring is full; 536870912"),
    NUMBER("keep-seconds", "N", NULL, "completed and failed jobs are kept so long; 3600, 259200"),
    ROUND_OPTIONS,
    DATABASE_OPTION,
    { 0 },
};

static const struct option_spec counts_options[] = {
    NUMBER("rows", "N", "10000000", "jobs in history"),
    NUMBER("batch", "N", "1000", "jobs of a claim and of a closure, up to 10000"),
    NUMBER("payload-bytes", "N", "75", "arguments of a job, JSON text"),
    NUMBER("repeat", "N", "15", "times each is measured; prints medians"),
    DATABASE_OPTION,
    { 0 },
};

static const struct option_spec scheduled_options[] = {
    NUMBER("rows", "N", "1000000", "jobs with a future time"),
    NUMBER("batch", "N", "1000", "jobs that become due in a turn, up to 5000"),
    NUMBER("payload-bytes", "N", "75", "arguments of a job, JSON text"),
    NUMBER("repeat", "N", "15", "turns; prints medians"),
    DATABASE_OPTION,
    { 0 },
};

#define ROUND_NOTES                                                                                \
    "jobs_per_s counts durable completions (insert: commits). pickup_ms goes from just before\n"   \
    "the COMMIT of the inserting transaction to the handler (drain: from the start of the\n"       \
    "workers), e2e_ms to the durable end, seen by asking each millisecond how many completions\n"  \
    "are durable; insert_ms is one transaction of a producer; late_ms is how far producers were\n" \
    "behind the given rate. wal_bytes_per_job and cpu_s are of the whole server in the measured\n" \
    "time; commits, updates, deletes and dead tuples are of the whole round."

const struct command bench_commands[] = {
    { .name = "insert",
      .summary = "producers only",
      .options = insert_options,
      .notes = ROUND_NOTES,
      .examples = "awa bench insert --dev --floor\n"
                  "awa bench insert --dev --door one --producers 8",
      .run = cmd_bench_insert },
    { .name = "drain",
      .summary = "workers only: the jobs are there already",
      .options = drain_options,
      .notes = ROUND_NOTES,
      .examples = "awa bench drain --dev --jobs 1000000 --floor\n"
                  "awa bench drain --dev --claim-batch 1 --threads 1 --prefetch -1 --jobs 5000",
      .run = cmd_bench_drain },
    { .name = "steady",
      .summary = "producers and workers at the same time",
      .options = steady_options,
      .notes = ROUND_NOTES,
      .examples = "awa bench steady --dev --depth 10000 --floor --hold-snapshot\n"
                  "awa bench steady --dev --rate 400 --door one --hold-transaction other\n"
                  "awa bench steady --dev --rate 20    # latency of an idle queue\n"
                  "awa bench steady --dev --fail-percent 100 --slot-bytes 8000000",
      .run = cmd_bench_steady },
    { .name = "scheduled",
      .summary = "due jobs, with and without many that are not due",
      .options = scheduled_options,
      .notes = "The same promotions and claims in two databases, by turns; the times are those of\n"
               "single statements. ratio is the larger of promote_ratio and claim_ratio.",
      .examples = "awa bench scheduled --dev --rows 10000000",
      .run = cmd_bench_scheduled },
    { .name = "counts",
      .summary = "exact counts of a long history, against count(*)",
      .options = counts_options,
      .notes =
          "A percent of the jobs has failed and a percent has an output; the others were\n"
          "completed in batches. unfolded_ms is awa.queue_counts() while nothing is folded of\n"
          "the current slot, in which open_rows of the jobs are: as many as fill it, if there\n"
          "are that many; folded_ms once they are folded. scan_ms is count(*) of the same jobs.\n"
          "speedup is scan_ms / folded_ms, unfolded_speedup is scan_ms / unfolded_ms.",
      .examples = "awa bench counts --dev",
      .run = cmd_bench_counts },
    { 0 },
};
