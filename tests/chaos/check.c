/* SPDX-License-Identifier: MIT */
/* See check.h: reads the histories, has every check look at them, and prints what they found. */
#include "check.h"

#include <stdarg.h>

#include "verdict.h"

static const struct {
    const char *name, *code, *text;
} rules[] = {
#define X(name, code, text) { #name, code, text },
    RULE_MAP(X)
#undef X
};

void
break_rule(struct verdict *v, enum rule rule, const char *format, ...)
{
    uint64_t n = v->broken[rule]++;
    va_list args;

    if (n >= SHOWN_MAX)
        return;
    va_start(args, format);
    vsnprintf(v->examples[rule][n], sizeof v->examples[rule][n], format, args);
    va_end(args);
}

void
figure_add(struct figures *f, double ms)
{
    if (f->n == f->room) {
        size_t room = f->room * 2 + 64;
        double *more = room <= FIGURES_MAX ? realloc(f->at, room * sizeof *more) : NULL;

        if (more == NULL)
            return;
        f->at = more;
        f->room = room;
    }
    f->at[f->n++] = ms;
}

/* ---- Printing ---------------------------------------------------------------------------- */

static int
ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double
at_rank(const struct figures *f, double rank)
{
    return f->n > 0 ? f->at[(size_t)((double)(f->n - 1) * rank + 0.5)] : 0;
}

static void
print_figures(FILE *to, const char *name, struct figures *f, const char *comma)
{
    if (f->n > 0)
        qsort(f->at, f->n, sizeof *f->at, ascending);
    fprintf(to, "%s\"%s\": {\"n\": %zu, \"p50\": %.0f, \"p99\": %.0f, \"max\": %.0f}", comma, name,
            f->n, at_rank(f, 0.5), at_rank(f, 0.99), at_rank(f, 1));
}

static void
print_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
    }
    fputc('"', to);
}

static uint64_t
violations(const struct verdict *v)
{
    uint64_t n = 0;

    for (int i = 0; i < RULES; i++)
        n += v->broken[i];
    return n;
}

static void
print_violations(FILE *to, const struct verdict *v)
{
    const char *comma = "";

    fprintf(to, "\"violations\": %llu, \"broken\": [", (unsigned long long)violations(v));
    for (int i = 0; i < RULES; i++) {
        if (v->broken[i] == 0)
            continue;
        fprintf(to, "%s{\"invariant\": \"%s\", \"rule\": \"%s\", \"n\": %llu, \"examples\": [",
                comma, rules[i].code, rules[i].text, (unsigned long long)v->broken[i]);
        for (uint64_t k = 0; k < v->broken[i] && k < SHOWN_MAX; k++) {
            fputs(k > 0 ? ", " : "", to);
            print_text(to, v->examples[i][k]);
        }
        fputs("]}", to);
        comma = ", ";
    }
    fputs("]", to);
}

static void
print_faults(FILE *to, const struct verdict *v)
{
    uint32_t all = 0;

    fputs("\"faults\": {", to);
    for (int i = 0; i < FAULTS; i++) {
        if (v->faults[i] > 0)
            fprintf(to, "\"%s\": %u, ", fault_name((enum fault)i), v->faults[i]);
        all += v->faults[i];
    }
    fprintf(to, "\"all\": %u}, \"missed\": %u", all, v->options->skipped);
}

static void
print_all_figures(FILE *to, const char *name, struct figures *figures)
{
    const char *comma = "";

    fprintf(to, "\"%s\": {", name);
    for (int i = 0; i < FAULTS; i++)
        if (figures[i].n > 0) {
            print_figures(to, fault_name((enum fault)i), &figures[i], comma);
            comma = ", ";
        }
    fputs("}, ", to);
}

#define U(x) ((unsigned long long)(x))

/* What recovery should take at most; a busy machine may need longer, so that breaks no rule. */
static const struct {
    enum fault fault;
    double p99_ms, max_ms;
} goals[] = {
    { FAULT_KILL, 10000, 15000 },       { FAULT_BACKEND, 5000, 5000 },
    { FAULT_POSTMASTER, 5000, 5000 },   { FAULT_FAST, 5000, 5000 },
    { FAULT_IMMEDIATE, 5000, 5000 },    { FAULT_DISK, 5000, 5000 },
    { FAULT_HOLE, 15000, 15000 },       { FAULT_STALL, 5000, 5000 },
    { FAULT_SERVER_CLOCK, 5000, 5000 }, { FAULT_READONLY, 5000, 5000 },
    { FAULT_LOCKED, 5000, 5000 },
};

enum { LEADER_MAX_MS = 5000 };

/* After the figures were printed, for that sorts them. */
static void
print_slow(FILE *to, const struct verdict *v)
{
    const char *comma = "";

    fputs("\"slow\": [", to);
    for (size_t i = 0; i < sizeof goals / sizeof goals[0]; i++) {
        const struct figures *f = &v->recovery[goals[i].fault];

        if (at_rank(f, 0.99) <= goals[i].p99_ms && at_rank(f, 1) <= goals[i].max_ms)
            continue;
        fprintf(to, "%s\"%s\"", comma, fault_name(goals[i].fault));
        comma = ", ";
    }
    for (int i = 0; i < FAULTS; i++)
        if (at_rank(&v->led[i], 1) > LEADER_MAX_MS) {
            fprintf(to, "%s\"leader after %s\"", comma, fault_name((enum fault)i));
            comma = ", ";
        }
    if (at_rank(&v->leader, 1) > LEADER_MAX_MS)
        fprintf(to, "%s\"new-leader\"", comma);
    fputs("]", to);
}

static void
print_json(FILE *to, struct verdict *v)
{
    fprintf(to,
            "{\"seed\": %llu, \"seconds\": %lld, \"jobs\": %llu, \"pruned\": %llu, "
            "\"runs\": %llu, ",
            U(v->options->seed), (long long)v->options->seconds, U(v->jobs), U(v->pruned),
            U(v->runs));
    print_faults(to, v);
    fprintf(to,
            ", \"stale_rejected\": %llu, \"stale_tried\": %llu, \"worker_stale\": %llu, "
            "\"lawful_duplicates\": %llu, \"duplicates\": {\"rescue\": %llu, \"crash\": %llu, "
            "\"unknown\": %llu, \"deadline\": %llu}, \"unseen_attempts\": %llu, ",
            U(v->stale_refused + v->options->worker_stale), U(v->stale_tried),
            U(v->options->worker_stale), U(v->lawful_duplicates), U(v->by_rescue), U(v->by_crash),
            U(v->by_unknown), U(v->by_deadline), U(v->burnt));
    print_violations(to, v);
    fputs(", ", to);
    print_all_figures(to, "recovery_ms", v->recovery);
    print_all_figures(to, "leader_back_ms", v->led);
    print_figures(to, "new_leader_ms", &v->leader, "");
    fputs(", ", to);
    print_slow(to, v);
    fprintf(to,
            ", \"unknown_inserts\": %llu, \"refused_inserts\": %llu, \"cancelled\": %llu, "
            "\"late_in_lane\": %llu, ",
            U(v->unknown), U(v->refused), U(v->cancels), U(v->late));
    print_figures(to, "lateness_ms", &v->lateness, "");
    fprintf(to,
            ", \"dumps\": %llu, \"dumped\": %llu, \"recounts\": %llu, \"recount_max_ms\": %llu, "
            "\"leader_terms\": %llu, "
            "\"deadlocks_with_guests\": %llu, "
            "\"drain_ms\": %llu, \"bytes_max\": %llu, \"dead_rows_max\": %llu, "
            "\"sessions_max\": %llu, \"rss_kb\": [%llu, %llu], \"files\": [%llu, %llu]}\n",
            U(v->dumps), U(v->dumped), U(v->recounts), U(v->recount_max_ms), U(v->terms),
            U(v->guest_deadlocks), U(v->drain_ms), U(v->bytes_max), U(v->dead_max),
            U(v->sessions_max), U(v->rss_first_kb), U(v->rss_last_kb), U(v->fds_first),
            U(v->fds_last));
}

static int
broken_rules(const struct verdict *v)
{
    int n = 0;

    for (int i = 0; i < RULES; i++)
        n += v->broken[i] > 0;
    return n;
}

static void
print_examples(const struct verdict *v)
{
    for (int i = 0; i < RULES; i++)
        for (uint64_t k = 0; k < v->broken[i] && k < SHOWN_MAX; k++)
            printf("%s %s%s\n", k == 0 ? rules[i].code : "  ", v->examples[i][k],
                   k + 1 == SHOWN_MAX ? " ..." : "");
}

/* Each rule is a test. */
static void
print_end(const struct verdict *v)
{
    printf("again: ./dev chaos --seconds %lld --seed %llu --faults %s\n%d passed, %d failed\n",
           (long long)v->options->seconds, U(v->options->seed), v->options->faults,
           RULES - broken_rules(v), broken_rules(v));
}

/* ---- The verdict ------------------------------------------------------------------------- */

static void
judge(const struct history *h, struct verdict *v)
{
    check_jobs(h, v);
    check_lanes(h, v);
    check_unique(h, v);
    check_taken(h, v);
    check_dump(h, v);
    check_world(h, v);
    check_log(v->options->dir, v);
    check_recovery(h, v);
    for (size_t i = 0; i < h->ntroubles; i++)
        v->faults[h->troubles[i].fault]++;
}

static void
free_figures(struct verdict *v)
{
    for (int i = 0; i < FAULTS; i++) {
        free(v->recovery[i].at);
        free(v->led[i].at);
    }
    free(v->leader.at);
    free(v->lateness.at);
}

int
check_run(const struct verdict_options *options, const char *json)
{
    static struct history h;
    static struct verdict v;
    awa_error err = { 0 };
    awa_status s;

    v.options = options;
    s = history_read(options->dir, &h, &err);
    if (s != AWA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    judge(&h, &v);
    print_examples(&v);
    print_json(stdout, &v);
    AUTO(file) FILE *file = json != NULL ? fopen(json, "we") : NULL;
    if (file != NULL)
        print_json(file, &v);
    else if (json != NULL)
        fprintf(stderr, "chaos: %s: %m\n", json);
    print_end(&v);
    history_done(&h);
    free_figures(&v);
    return violations(&v) == 0 && (json == NULL || file != NULL) ? 0 : 1;
}
