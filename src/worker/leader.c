/* SPDX-License-Identifier: MIT */
/*
 * The leader thread. It blocks, on a session of its own. It asks the database whether it leads and
 * what is due (awa.lead()), does that, and sleeps for as long as it was told or until a
 * notification comes. Each statement of a task calls one function of the engine, in its own
 * transaction. A failure is logged, and the task comes again. Any number of workers may run this
 * thread: one leads.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "pg/array.h"
#include "statements_worker.h"
#include "worker/leader.h"

enum {
    RETRY_MS = 1000,        /* pause after awa.lead() or a connect failed */
    NOTE_MS = 60000,        /* how often a task is noted whose state has not changed */
    TASK_AGAIN_MS = 5000,   /* when to seal lanes again after a failure */
    RING_MS = 1000,         /* between the ring's turns while there is load */
    RING_IDLE_MS = 60000,   /* and while there is none */
    BUSY_JOBS = 100,        /* more new jobs than these since the ring's last turn are load */
    EXPIRE_ALL_MS = 300000, /* how often deadlines are checked from the beginning */
    SEAL_MS = 600000,       /* how often lanes are sealed */
    CARRY_ROUNDS = 10,      /* chunks carried out of a slot in one turn */
    PRUNE_ROUNDS = 5,       /* tries to truncate the slot while snapshots may need it */
    PRUNE_PAUSE_MS = 25,    /* between two of these tries */
    KEYS_MS = 500,          /* how long unique keys are deleted in one turn */
    PROMOTE_ROUNDS = 20,    /* batches promoted in one turn */
    PROMOTE_MAX = 5000,     /* the most that awa.promote_jobs() promotes at once */
    TASKS_MAX = 16,         /* statements that are tasks, or parts of one */
};

/* What the database was told about one statement of a task. */
struct noted {
    const struct awa__sql *task; /* NULL: none */
    bool known, failing;
    int64_t at; /* monotonic ms */
};

struct leader {
    struct awa_worker *worker;
    pthread_t thread;
    int end_fd; /* eventfd that ends the sleep, when `ends` is set */
    atomic_bool ends;
    atomic_int_least64_t queries;
    PGconn *pg;
    struct vitals vitals;
    struct noted noted[TASKS_MAX];
    bool led;                                       /* has led, so it must resign */
    bool pooled;                                    /* through a transaction pooler */
    bool listening;                                 /* the session hears notifications */
    int64_t newest_id;                              /* id of the newest job at ring_at */
    char promoted_to[24], expired_to[24];           /* ms since 1970, "" for the beginning */
    int64_t promote_all_at, expire_all_at, seal_at; /* monotonic ms: when next */
    int64_t ring_at;                                /* monotonic ms: the ring's last turn */
    bool ring_failed;                               /* a part of that turn failed */
    struct complaints complaints;
};

static const char *
or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* Runs one statement. A failure is logged; the session is ended if it must be replaced. */
static bool
try(struct leader *l, const struct awa__sql *sql, const char *const *params, PGresult **ret_res,
    awa_error *err)
{
    awa_status s;

    if (l->pg == NULL) {
        (void)awa__fail(err, AWA_ECONN, "the session is gone");
        return false;
    }
    atomic_fetch_add(&l->queries, 1);
    s = awa__query_timed(l->pg, sql, params, ret_res, err);
    if (s != AWA_OK)
        worker_complain(l->worker, &l->complaints, "leader: %s", err->message);
    if (vitals_note(&l->vitals, s != AWA_OK ? err : NULL, clock_ms())) {
        worker_complain(l->worker, &l->complaints, "leader: replacing its session: %s",
                        err->message);
        PQfinish(TAKE(l->pg));
    }
    return s == AWA_OK;
}

static struct noted *
noted_of(struct leader *l, const struct awa__sql *task)
{
    struct noted *n = l->noted;

    while (n->task != NULL && n->task != task && n < &l->noted[TASKS_MAX - 1])
        n++;
    n->task = task;
    return n;
}

/* Notes for `awa health` whether a task succeeds: when that changes, and every NOTE_MS. */
static void
note(struct leader *l, const struct awa__sql *sql, const awa_error *failure)
{
    struct noted *n = noted_of(l, sql);
    bool failing = failure != NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (n->known && n->failing == failing && clock_ms() - n->at < NOTE_MS)
        return;
    n->known = try(l, SQL_MAINTENANCE_NOTE,
                   (const char *[]){ sql->name, failing ? failure->message : NULL }, &res, &err);
    n->failing = failing;
    n->at = clock_ms();
}

/* Runs a statement that is a task, or a part of one, and notes how it went. */
static bool
ask(struct leader *l, const struct awa__sql *sql, const char *const *params, PGresult **ret_res)
{
    awa_error err;
    bool done = try(l, sql, params, ret_res, &err);

    if (l->pg != NULL && PQstatus(l->pg) == CONNECTION_OK)
        note(l, sql, done ? NULL : &err);
    return done;
}

/* ---- Tasks ------------------------------------------------------------------------------- */

/*
 * Promotes jobs that are due, from the time of the last one that was promoted. At times from the
 * beginning, for jobs whose transaction committed late. The pause before that is at least 20 times
 * as long as it took, so these rounds use less than a twentieth of the time.
 */
static void
promote(struct leader *l)
{
    int64_t began = clock_ms();
    bool all = l->promoted_to[0] == '\0';

    for (int i = 0; i < PROMOTE_ROUNDS; i++) {
        AUTO(pgresult) PGresult *res = NULL;

        if (!ask(l, SQL_LEADER_PROMOTE, (const char *[]){ or_null(l->promoted_to) }, &res))
            return;
        if (!PQgetisnull(res, 0, 1))
            snprintf(l->promoted_to, sizeof l->promoted_to, "%lld",
                     strtoll(PQgetvalue(res, 0, 1), NULL, 10) - 1); /* others may be in that ms */
        if (strtol(PQgetvalue(res, 0, 0), NULL, 10) < PROMOTE_MAX)
            break;
    }
    if (all)
        l->promote_all_at = clock_ms() + 1000 + 20 * (clock_ms() - began);
}

/* Logs such as "rescued 1 job of dead workers", "... 2 jobs ..."; nothing for 0. */
static void
log_number(struct leader *l, const char *did, const char *number, const char *what, const char *why)
{
    if (strcmp(number, "0") != 0)
        worker_log(l->worker, "leader: %s %s %s%s %s", did, number, what,
                   strcmp(number, "1") != 0 ? "s" : "", why);
}

static void
rescue(struct leader *l)
{
    AUTO(pgresult) PGresult *res = NULL;

    if (ask(l, SQL_LEADER_RESCUE, NULL, &res))
        log_number(l, "rescued", PQgetvalue(res, 0, 0), "job", "of dead workers");
}

static void
expire(struct leader *l)
{
    AUTO(pgresult) PGresult *res = NULL;

    if (clock_ms() >= l->expire_all_at) {
        l->expired_to[0] = '\0';
        l->expire_all_at = clock_ms() + EXPIRE_ALL_MS;
    }
    if (!ask(l, SQL_LEADER_EXPIRE, (const char *[]){ or_null(l->expired_to) }, &res))
        return;
    snprintf(l->expired_to, sizeof l->expired_to, "%s", PQgetvalue(res, 0, 1));
    log_number(l, "ended", PQgetvalue(res, 0, 0), "attempt", "after the deadline");
}

static void
sweep(struct leader *l)
{
    AUTO(pgresult) PGresult *res = NULL;

    (void)ask(l, SQL_LEADER_SWEEP, NULL, &res);
}

static void
decide(struct leader *l)
{
    AUTO(pgresult) PGresult *res = NULL;

    (void)ask(l, SQL_LEADER_DECIDE, NULL, &res);
}

/*
 * Truncates a slot. Tries again after a short pause while snapshots may need the slot, because most
 * of them belong to a statement and end soon; at once while it has unique keys, of which one call
 * deletes some thousands.
 */
static bool
prune(struct leader *l, const char *const *params)
{
    int64_t started = clock_ms();
    int rounds = 1;

    for (;;) {
        AUTO(pgresult) PGresult *res = NULL;
        const char *answer;

        if (!ask(l, SQL_RING_PRUNE, params, &res))
            return false;
        answer = PQgetvalue(res, 0, 0);
        if (strcmp(answer, "keys") == 0 && clock_ms() - started < KEYS_MS)
            continue;
        if (strcmp(answer, "snapshots") != 0 || rounds++ == PRUNE_ROUNDS)
            return true;
        (void)poll(NULL, 0, PRUNE_PAUSE_MS);
    }
}

/* Empties a slot: copies its heads and living entries out of it, then truncates it. */
static bool
empty_slot(struct leader *l, const char *slot)
{
    AUTO(pgresult) PGresult *heads = NULL;
    const char *const params[] = { slot };

    if (!ask(l, SQL_RING_CHECKPOINT, params, &heads))
        return false;
    for (int i = 0; i < CARRY_ROUNDS; i++) {
        AUTO(pgresult) PGresult *res = NULL;

        if (!ask(l, SQL_RING_CARRY, params, &res))
            return false;
        if (strcmp(PQgetvalue(res, 0, 0), "0") == 0)
            break;
    }
    return prune(l, params);
}

static bool
turn_ring(struct leader *l)
{
    AUTO(pgresult) PGresult *turned = NULL;
    AUTO(pgresult) PGresult *summarized = NULL;
    bool emptied = true;

    if (!ask(l, SQL_RING_TURN, NULL, &turned))
        return false;
    if (!PQgetisnull(turned, 0, 1))
        emptied = empty_slot(l, PQgetvalue(turned, 0, 1));
    return ask(l, SQL_RING_SUMMARIZE, NULL, &summarized) && emptied;
}

static bool
seal_lanes(struct leader *l)
{
    AUTO(pgresult) PGresult *res = NULL;

    return ask(l, SQL_LANES_SEAL, NULL, &res);
}

static const struct task {
    const char *name; /* in the tasks of awa.lead() */
    void (*run)(struct leader *l);
} tasks[] = {
    { "promote", promote }, { "rescue", rescue }, { "expire", expire },
    { "sweep", sweep },     { "decide", decide },
};

/* ---- The thread -------------------------------------------------------------------------- */

/*
 * Sends LISTEN or UNLISTEN, as awa.lead() said. In a large fleet only few candidates listen for a
 * leader that resigns, because every notification costs each listener. True: it has begun to
 * listen, and must call awa.lead() again, because what came before was not notified.
 */
static bool
listen_turn(struct leader *l, bool listens)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (listens == l->listening || l->pooled ||
        !try(l, listens ? SQL_LEADER_LISTEN : SQL_SESSION_UNLISTEN, NULL, &res, &err))
        return false;
    l->listening = listens;
    return listens;
}

/* Asks whether this worker leads; if it does, runs what is due. Returns ms until the next call. */
static int64_t
lead(struct leader *l)
{
    char worker[24];
    AUTO(pgresult) PGresult *res = NULL;
    int64_t wait, now = clock_ms();
    awa_error err;
    bool busy;

    if (now >= l->promote_all_at)
        l->promoted_to[0] = '\0';
    snprintf(worker, sizeof worker, "%lld", (long long)atomic_load(&l->worker->current_id));
    if (!try(l, SQL_LEADER_LEAD,
             (const char *[]){ worker, or_null(l->promoted_to), or_null(l->expired_to), "f" }, &res,
             &err))
        return RETRY_MS;
    wait = strtoll(PQgetvalue(res, 0, 2), NULL, 10);
    if (listen_turn(l, strcmp(PQgetvalue(res, 0, 4), "t") == 0))
        wait = 0;
    if (PQgetisnull(res, 0, 0)) {
        l->promoted_to[0] = l->expired_to[0] = '\0';
        memset(l->noted, 0, sizeof l->noted); /* another leader may have noted since */
        return wait;
    }
    l->led = true;
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
        if (array_has(PQgetvalue(res, 0, 1), tasks[i].name))
            tasks[i].run(l);
    busy = strtoll(PQgetvalue(res, 0, 3), NULL, 10) - l->newest_id > BUSY_JOBS;
    if (now - l->ring_at >= (busy || l->ring_failed ? RING_MS : RING_IDLE_MS)) {
        l->ring_failed = !turn_ring(l);
        l->ring_at = now;
        l->newest_id = strtoll(PQgetvalue(res, 0, 3), NULL, 10);
    }
    if (now >= l->seal_at)
        l->seal_at = clock_ms() + (seal_lanes(l) ? SEAL_MS : TASK_AGAIN_MS);
    return busy && wait > RING_MS ? RING_MS : wait;
}

/* Logs notices of the server, such as that it shuts down. Else libpq would print them. */
static void
noticed(void *arg, const char *message)
{
    struct leader *l = arg;

    worker_complain(l->worker, &l->complaints, "leader: server: %.*s", (int)strcspn(message, "\n"),
                    message);
}

static bool
connect_session(struct leader *l)
{
    awa_error err;
    awa_status s;

    if (l->pg != NULL && PQstatus(l->pg) == CONNECTION_OK)
        return true;
    PQfinish(TAKE(l->pg));
    l->vitals = (struct vitals){ 0 };
    l->listening = false;
    s = awa__connect(l->worker->conninfo, &l->pg, &l->pooled, &err);
    l->pooled |= l->worker->pooled;
    if (s == AWA_OK)
        (void)PQsetNoticeProcessor(l->pg, noticed, l);
    if (s == AWA_OK && !l->pooled)
        s = conn_set_up(l->pg, "off", &err);
    if (s == AWA_OK)
        return true;
    worker_complain(l->worker, &l->complaints, "leader: %s", err.message);
    PQfinish(TAKE(l->pg));
    return false;
}

/* Whether there were notifications. They are dropped. */
static bool
take_notifications(struct leader *l)
{
    bool any = false;

    for (PGnotify *n; l->pg != NULL && (n = PQnotifies(l->pg)) != NULL; PQfreemem(n))
        any = true;
    return any;
}

/*
 * Sleeps for `wait` ms, or until a notification or the end of the thread. A notification may have
 * come with the answer to a statement; poll() would not see it, so they are taken first.
 */
static void
sleep_until_due(struct leader *l, int64_t wait)
{
    struct pollfd fds[] = { { .fd = l->end_fd, .events = POLLIN },
                            { .fd = l->pg != NULL ? PQsocket(l->pg) : -1, .events = POLLIN } };

    if (take_notifications(l))
        return;
    if (poll(fds, 2, (int)wait) < 0 && errno != EINTR)
        worker_complain(l->worker, &l->complaints, "leader: poll: %s", strerrordesc_np(errno));
    if (l->pg == NULL || fds[1].revents == 0)
        return;
    if (!PQconsumeInput(l->pg)) {
        PQfinish(TAKE(l->pg));
        return;
    }
    (void)take_notifications(l);
}

/*
 * Resigns if this worker has ever led. awa.lead() also answers NULL while another worker is asking,
 * so we may still hold the term. Resigning a term that we do not hold does nothing.
 */
static void
resign(struct leader *l)
{
    char worker[24];
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (l->pg == NULL || !l->led)
        return;
    snprintf(worker, sizeof worker, "%lld", (long long)atomic_load(&l->worker->current_id));
    (void)try(l, SQL_LEADER_LEAD, (const char *[]){ worker, NULL, NULL, "t" }, &res, &err);
}

static void *
leader_thread(void *arg)
{
    struct leader *l = arg;

    while (!atomic_load(&l->ends)) {
        int64_t wait = RETRY_MS;

        if (connect_session(l))
            wait = lead(l);
        if (!atomic_load(&l->ends))
            sleep_until_due(l, wait);
    }
    resign(l);
    PQfinish(TAKE(l->pg));
    return NULL;
}

awa_status
leader_start(struct awa_worker *w, awa_error *err)
{
    struct leader *l = calloc(1, sizeof *l);
    int error;

    if (l == NULL)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    l->worker = w;
    l->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    error = l->end_fd < 0 ? errno : pthread_create(&l->thread, NULL, leader_thread, l);
    if (error != 0) {
        if (l->end_fd >= 0)
            (void)close(l->end_fd);
        free(l);
        errno = error;
        return awa__fail(err, AWA_ESYS, "worker: no thread: %m");
    }
    w->leader = l;
    return AWA_OK;
}

void
leader_join(struct awa_worker *w)
{
    struct leader *l = TAKE(w->leader);

    if (l == NULL)
        return;
    atomic_store(&l->ends, true);
    (void)eventfd_write(l->end_fd, 1);
    pthread_join(l->thread, NULL);
    (void)close(l->end_fd);
    free(l);
}

int64_t
leader_queries(const struct awa_worker *w)
{
    return w->leader != NULL ? atomic_load(&w->leader->queries) : 0;
}
