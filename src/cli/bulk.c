/* SPDX-License-Identifier: MIT */
/* See bulk.h. */
#include "cli/bulk.h"

#include <string.h>

#include "cli/bar.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "cli/session.h"
#include "pg/interrupt.h"
#include "statements_cli.h"

/* The sums of all pages. */
struct tally {
    int64_t matched, changed, conflicts;
    int64_t pruned;        /* -1: not known */
    bool interrupted;      /* a signal came, perhaps before the last page */
    awa_bulk_result first; /* the first page: its sample is printed */
};

/* ---- Options ----------------------------------------------------------------------------- */

static const char *
first_given(const struct call *call, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (call_flag(call, names[i]))
            return names[i];
    return NULL;
}

/* A filter other than the queue; NULL: none. */
static const char *
narrow_filter(const struct call *call, const struct bulk_verb *verb)
{
    static const char *const names[] = { "kind", "tag", "reason", "from", "to" };

    return first_given(call, names, verb->letters ? 5 : 2);
}

const char *
bulk_option(const struct call *call, const struct bulk_verb *verb)
{
    static const char *const names[] = { "queue", "all", "dry-run" };
    const char *narrow = narrow_filter(call, verb);

    return narrow != NULL ? narrow : first_given(call, names, 3);
}

awa_status
bulk_read_target(const struct call *call, PGconn *conn, awa_bulk_options *options, awa_error *err)
{
    int64_t delay = call_number(call, "in");
    int64_t priority = call_number(call, "to-priority");

    options->delay_ms = delay > 0 ? delay : 0;
    options->to_queue = call_text(call, "to-queue");
    if (call_flag(call, "at") && delay >= 0)
        return awa__fail(err, AWA_EINVAL, "%s: --at excludes --in", call->words);
    if (priority == 0)
        return awa__fail(err, AWA_EINVAL, "--to-priority: want 1 to 4, got 0");
    options->to_priority = priority > 0 ? priority : 0;
    return moment_read(call, conn, "at", false, &options->run_at_ms, err);
}

static awa_status
read_options(const struct call *call, const struct bulk_verb *verb, PGconn *conn,
             awa_bulk_options *ret, awa_error *err)
{
    awa_status s = AWA_OK;

    *ret = (awa_bulk_options){
        .size = sizeof *ret,
        .kind = call_text(call, "kind"),
        .queue = call_text(call, "queue"),
        .tag = call_text(call, "tag"),
        .all = call_flag(call, "all"),
        .dry_run = call_flag(call, "dry-run"),
        .reason = call_text(call, "reason"),
    };
    if (!verb->letters)
        return AWA_OK;
    s = moment_read(call, conn, "from", true, &ret->from_ms, err);
    if (s == AWA_OK)
        s = moment_read(call, conn, "to", true, &ret->to_ms, err);
    if (s == AWA_OK)
        s = bulk_read_target(call, conn, ret, err);
    return s;
}

/* ---- Pages ------------------------------------------------------------------------------- */

/*
 * Reads how many jobs there are in total, and past retention. Both are known only for a queue or
 * for all queues; with another filter the total is 0 and *ret_pruned -1.
 */
static awa_status
look_up(const struct call *call, const struct bulk_verb *verb, PGconn *conn, int64_t *ret_total,
        int64_t *ret_pruned, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    *ret_total = 0;
    *ret_pruned = -1;
    if (narrow_filter(call, verb) != NULL)
        return AWA_OK;
    s = awa__query(conn, SQL_FAILED_COUNTS, (const char *[]){ call_text(call, "queue") }, &res,
                   err);
    if (s != AWA_OK)
        return s;
    *ret_total = strtoll(PQgetvalue(res, 0, verb->letters ? 2 : 0), NULL, 10);
    *ret_pruned = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
    return AWA_OK;
}

static awa_status
run_pages(const struct bulk_verb *verb, PGconn *conn, awa_bulk_options *options, struct bar *bar,
          struct tally *tally, awa_error *err)
{
    awa_bulk_result page = { .size = sizeof page };

    do {
        awa_status s = verb->run(conn, options, &page, err);

        if (s != AWA_OK)
            return s;
        if (options->before == 0)
            tally->first = page;
        tally->matched += page.matched;
        tally->changed += page.changed;
        tally->conflicts += page.conflicts;
        options->before = page.next_before;
        bar_show_jobs(bar, tally->matched);
    } while (page.next_before != 0 && interrupt_signal() == 0);
    return AWA_OK;
}

/* ---- Output ------------------------------------------------------------------------------ */

static void
print_sample(const awa_bulk_result *page, const char *between)
{
    for (int64_t i = 0; i < page->nsample; i++)
        printf("%s%lld", i > 0 ? between : "", (long long)page->sample[i]);
}

static void
print_json_tally(const struct bulk_verb *verb, bool dry_run, const struct tally *t)
{
    printf("{\"dry_run\": %s, \"matched\": %lld, \"%s\": %lld, \"conflicts\": %lld",
           dry_run ? "true" : "false", (long long)t->matched, verb->done, (long long)t->changed,
           (long long)t->conflicts);
    if (verb->pruned && t->pruned >= 0)
        printf(", \"past_retention\": %lld", (long long)t->pruned);
    else if (verb->pruned)
        fputs(", \"past_retention\": null", stdout);
    fputs(", \"sample\": [", stdout);
    print_sample(&t->first, ", ");
    puts("]}");
}

static void
print_tally(const struct bulk_verb *verb, bool dry_run, const struct tally *t)
{
    if (dry_run)
        printf("%lld jobs would be %s\n", (long long)t->matched, verb->done);
    else
        printf("%lld jobs %s\n", (long long)t->changed, verb->done);
    if (t->conflicts > 0)
        printf("%lld left where they are: a newer job holds their unique key\n",
               (long long)t->conflicts);
    if (dry_run && t->first.nsample > 0) {
        fputs(t->matched > t->first.nsample ? "the newest of them: " : "they are: ", stdout);
        print_sample(&t->first, " ");
        putchar('\n');
    }
    if (verb->pruned && t->pruned > 0)
        printf("%lld more are past retention, only their number is left\n", (long long)t->pruned);
    else if (verb->pruned && t->pruned < 0)
        puts("how many are past retention is known of a queue, not of a kind or a tag");
}

/* Runs the verb on an open session. After a failure, too, the tally has what was done. */
static awa_status
run(const struct call *call, const struct bulk_verb *verb, PGconn *conn, struct tally *tally,
    awa_error *err)
{
    awa_bulk_options options;
    struct bar bar;
    awa_status s = read_options(call, verb, conn, &options, err);

    bar_begin(&bar, call, 0);
    if (s == AWA_OK && (bar.on || verb->pruned))
        s = look_up(call, verb, conn, &bar.total, &tally->pruned, err);
    if (s != AWA_OK)
        return s;
    interrupt_catch(true);
    s = run_pages(verb, conn, &options, &bar, tally, err);
    tally->interrupted = interrupt_signal() != 0;
    bar_clear(&bar);
    return s;
}

int
bulk_run(const struct call *call, const struct bulk_verb *verb)
{
    const char *given = bulk_option(call, verb);
    struct tally tally = { .pruned = -1 };
    AUTO(pgconn) PGconn *conn = NULL;
    int code = EXIT_DONE;
    awa_error err;
    awa_status s;

    if (given == NULL || strcmp(given, "dry-run") == 0)
        return usage_error(
            "%s: which jobs? give a filter, such as --queue, or --all; see %s --help", call->words,
            call->words);
    s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = run(call, verb, conn, &tally, &err);
    if (s != AWA_OK)
        code = report(&err);
    if (s == AWA_OK || tally.changed > 0) {
        if (call_flag(call, "json"))
            print_json_tally(verb, call_flag(call, "dry-run"), &tally);
        else
            print_tally(verb, call_flag(call, "dry-run"), &tally);
    }
    if (tally.interrupted)
        say(call, "%s: interrupted; what was done stays done", call->words);
    return code;
}
