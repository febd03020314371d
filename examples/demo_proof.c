/* SPDX-License-Identifier: MIT */
/*
 * Checks the results: reads all of them from awa.jobs, computes the same from the files without the
 * queue, and compares. Files that changed meanwhile are recognized by their times, and left out.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

enum { RECOUNTERS_MAX = 16 };

struct tally {
    int64_t files, bytes, packed;
    uint64_t digest; /* sum of the first 64 bits of each SHA-256, so the order does not matter */
};

struct proof {
    const struct list *list;
    const struct watch *watch;
    PGresult *results; /* row i is that of item i: check_ids() checks it */
    struct recount *recounts;
    struct tally queue, recount;
    int64_t completed, failed;       /* jobs */
    int64_t missing, missing_failed; /* jobs without a file; those that failed as they should */
    int64_t changed, unreadable;     /* files that are left out of both sums */
    /* Jobs that were rescued from a dead worker; those that the killed worker did not hold. */
    int64_t rescued, rescued_unasked;
    int64_t excess; /* jobs whose handler ran more often than they had attempts */
};

/* ---- The recount ------------------------------------------------------------------------- */

struct recount {
    struct digest digest;
    int error; /* errno */
};

struct recounters {
    const struct list *list;
    struct recount *recounts;
    atomic_size_t next, done;
    atomic_bool stop;
    pthread_t threads[RECOUNTERS_MAX];
    size_t n;
};

static void *
recount_thread(void *arg)
{
    struct recounters *r = arg;
    size_t i;

    while (!atomic_load(&r->stop) && (i = atomic_fetch_add(&r->next, 1)) < r->list->n) {
        r->recounts[i].error = digest_file(r->list->items[i].path, &r->recounts[i].digest);
        atomic_fetch_add(&r->done, 1);
    }
    return NULL;
}

/* Shows the progress until the recount is done: 0; or a signal asks us to end: its number. */
static int
wait_for_recount(struct recounters *r, const struct watch *w)
{
    size_t shown = SIZE_MAX, done;
    int sig = 0;

    while (sig == 0 && (done = atomic_load(&r->done)) < r->list->n) {
        size_t percent = done * 100 / r->list->n;

        if (percent != shown) {
            view_status(w->view, "counted %zu %%", percent);
            alarm(PATIENCE_S);
        }
        shown = percent;
        sig = signal_wait(w->signal_fd, 50);
    }
    return sig;
}

static int
recount(struct proof *p)
{
    struct recounters r = { .list = p->list, .recounts = p->recounts };
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int sig = 0;

    while (r.n < RECOUNTERS_MAX && (r.n == 0 || (long)r.n < cpus) &&
           pthread_create(&r.threads[r.n], NULL, recount_thread, &r) == 0)
        r.n++;
    view_event(p->watch->view, "all jobs have ended; counting again, without the queue");
    if (r.n > 0)
        sig = wait_for_recount(&r, p->watch);
    atomic_store(&r.stop, true);
    for (size_t i = 0; i < r.n; i++)
        pthread_join(r.threads[i], NULL);
    if (r.n == 0)
        return complain("recount: no thread") ? 0 : -1;
    return sig;
}

/* ---- Comparing --------------------------------------------------------------------------- */

static const char *
text_at(const struct proof *p, size_t row, int column)
{
    return PQgetvalue(p->results, (int)row, column);
}

static int64_t
number_at(const struct proof *p, size_t row, int column)
{
    return strtoll(text_at(p, row, column), NULL, 10);
}

/* Checks that awa.jobs has exactly the jobs that were enqueued, each once. */
static bool
check_ids(const struct proof *p)
{
    size_t n = (size_t)PQntuples(p->results);

    for (size_t i = 0; i < n && i < p->list->n; i++)
        if (number_at(p, i, COL_ID) != p->list->items[i].id)
            return complain("job %" PRId64 " is enqueued, awa.jobs has %s in its place",
                            p->list->items[i].id, text_at(p, i, COL_ID));
    return n == p->list->n || complain("%zu jobs are enqueued, awa.jobs has %zu", p->list->n, n);
}

static void
add(struct tally *t, const char *sha256, int64_t bytes, int64_t packed)
{
    char head[17];

    snprintf(head, sizeof head, "%.16s", sha256);
    t->files++;
    t->bytes += bytes;
    t->packed += packed;
    t->digest += strtoull(head, NULL, 16);
}

static bool
is_equal(const struct proof *p, size_t i)
{
    const struct digest *d = &p->recounts[i].digest;

    return strcmp(text_at(p, i, COL_SHA256), d->sha256) == 0 &&
           number_at(p, i, COL_BYTES) == d->bytes && number_at(p, i, COL_PACKED) == d->packed;
}

/* Whether a file has changed since the demo began, with 2 s for the coarse times of files. */
static bool
has_changed(const struct proof *p, const char *path)
{
    struct timespec now;
    struct stat st;

    if (lstat(path, &st) != 0)
        return true;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)(now.tv_sec - st.st_ctim.tv_sec) * 1000 <
           now_ms() - p->watch->view->start_ms + 2000;
}

static void
compare_file(struct proof *p, size_t i)
{
    bool here = strcmp(text_at(p, i, COL_STATE), "completed") == 0;
    bool there = p->recounts[i].error == 0;

    if (!here && !there) {
        p->unreadable++;
        return;
    }
    if (!(here && there && is_equal(p, i)) && has_changed(p, p->list->items[i].path)) {
        p->changed++;
        return;
    }
    if (here)
        add(&p->queue, text_at(p, i, COL_SHA256), number_at(p, i, COL_BYTES),
            number_at(p, i, COL_PACKED));
    if (there)
        add(&p->recount, p->recounts[i].digest.sha256, p->recounts[i].digest.bytes,
            p->recounts[i].digest.packed);
}

static bool
was_held(const struct watch *w, int64_t id)
{
    for (size_t i = 0; i < w->nheld; i++)
        if (w->held[i] == id)
            return true;
    return false;
}

/* Counts how a job ended, and compares how often it ran with its attempts. */
static void
compare_job(struct proof *p, size_t i)
{
    const struct item *item = &p->list->items[i];
    struct note *note = board_note(p->watch->board, item->id);
    int64_t attempts = number_at(p, i, COL_ATTEMPT);
    bool failed = strcmp(text_at(p, i, COL_STATE), "failed") == 0;

    p->completed += strcmp(text_at(p, i, COL_STATE), "completed") == 0;
    p->failed += failed;
    p->missing += item->missing;
    p->missing_failed += item->missing && failed && attempts == ATTEMPTS;
    if (strcmp(text_at(p, i, COL_RESCUED), "t") == 0) {
        p->rescued++;
        p->rescued_unasked += !was_held(p->watch, item->id);
    }
    if (note != NULL && atomic_load(&note->runs) > attempts)
        p->excess++;
}

/* ---- The report -------------------------------------------------------------------------- */

static void
print_tally(const char *what, const struct tally *t)
{
    char files[32], bytes[32], packed[32];

    printf("  %-22s %9s %13s %13s  %016" PRIx64 "\n", what, grouped(t->files, files),
           grouped(t->bytes, bytes), grouped(t->packed, packed), t->digest);
}

static void
print_pickups(const char *what, const struct pickups *t)
{
    char n[32];

    if (t->n > 0)
        printf("  %-22s p50 %d ms, p99 %d ms (%s jobs)\n", what, t->p50, t->p99, grouped(t->n, n));
}

static void
print_work(const struct proof *p)
{
    const struct watch *w = p->watch;
    int64_t ms = w->progress_ms - w->start_ms + 1;
    char transactions[32], rate[32];
    struct pickups all, no_queue;

    pickups_read(w->board, p->list->n, false, &all);
    pickups_read(w->board, p->list->n, true, &no_queue);
    printf("  %-22s %s jobs/s, %.1f MB/s for %.1f s; enqueued in %s transactions\n", "work",
           grouped((int64_t)p->list->n * 1000 / ms, rate),
           (double)p->queue.bytes / 1000 / (double)ms, (double)ms / 1000,
           grouped((int64_t)atomic_load(&w->feed->transactions), transactions));
    if (p->queue.bytes > 0)
        printf("  %-22s packed to %lld %% of their size\n", "files",
               (long long)(p->queue.packed * 100 / p->queue.bytes));
    print_pickups("pickup", &all);
    print_pickups("pickup without queue", &no_queue);
}

static void
print_jobs(const struct proof *p)
{
    char n[32], completed[32], failed[32];

    printf("  %-22s %s, each with exactly one end: %s completed, %s failed\n", "jobs",
           grouped((int64_t)p->list->n, n), grouped(p->completed, completed),
           grouped(p->failed, failed));
    printf("  %-22s %lld enqueued, %lld failed after %d attempts\n", "missing files",
           (long long)p->missing, (long long)p->missing_failed, ATTEMPTS);
    printf("  %-22s %lld that worker %d held when it was killed, %lld others\n", "ran again",
           (long long)(p->rescued - p->rescued_unasked), p->watch->killed + 1,
           (long long)p->rescued_unasked);
    if (p->list->unreadable + (size_t)p->unreadable > 0)
        printf("  %-22s %lld\n", "unreadable files",
               (long long)p->list->unreadable + (long long)p->unreadable);
}

static bool
judge(const struct proof *p)
{
    bool ok = true;

    if (memcmp(&p->queue, &p->recount, sizeof p->queue) != 0)
        ok = complain("the sums differ");
    if (p->missing_failed != p->missing)
        ok = complain("%" PRId64 " jobs should have failed and did not",
                      p->missing - p->missing_failed);
    if (p->completed + p->failed != (int64_t)p->list->n)
        ok = complain("%" PRId64 " jobs have not ended",
                      (int64_t)p->list->n - p->completed - p->failed);
    if (p->rescued - p->rescued_unasked != (int64_t)p->watch->nheld)
        ok = complain("the killed worker held %zu jobs, %" PRId64 " of them were rescued",
                      p->watch->nheld, p->rescued - p->rescued_unasked);
    if (p->excess > 0)
        ok = complain("%" PRId64 " jobs ran more often than they had attempts", p->excess);
    return ok;
}

static bool
compare(struct proof *p)
{
    bool equal;

    for (size_t i = 0; i < p->list->n; i++) {
        if (!p->list->items[i].missing)
            compare_file(p, i);
        compare_job(p, i);
    }
    equal = memcmp(&p->queue, &p->recount, sizeof p->queue) == 0;
    view_erase(p->watch->view);
    printf("  %-22s %9s %13s %13s  %s\n", "sums", "files", "bytes", "packed", "digest");
    print_tally("results of the queue", &p->queue);
    print_tally("recount", &p->recount);
    printf("  %-22s %s; %lld files changed meanwhile\n", "the two are",
           equal ? "equal" : "DIFFERENT", (long long)p->changed);
    print_jobs(p);
    print_work(p);
    fflush(stdout);
    return judge(p);
}

int
proof_run(const struct list *list, const struct watch *w)
{
    struct proof p = { .list = list, .watch = w, .results = base_results(w->base) };
    int result = -1;

    p.recounts = calloc(list->n, sizeof *p.recounts);
    if (p.results != NULL && p.recounts != NULL && check_ids(&p)) {
        result = recount(&p);
        if (result == 0)
            result = compare(&p) ? 0 : -1;
    }
    PQclear(p.results);
    free(p.recounts);
    return result;
}
