/* SPDX-License-Identifier: MIT */
/*
 * See faults.h. A fault of the server returns when the server takes connections again; that moment
 * is recorded as its end. The first worker is never killed: its memory is watched for the whole
 * run.
 */
#include "faults.h"

#include <poll.h>
#include <signal.h>

#include "clock.h"

enum { SERVER_MS = 120000, SWITCHES = 12 };

/* ---- The server -------------------------------------------------------------------------- */

/* A session as the administrator. */
static PGconn *
open_session(const struct faults *f)
{
    char dsn[300];

    place_dsn(f->place, NULL, -1, dsn, sizeof dsn);
    return PQconnectdb(dsn);
}

/* Asks the server something as the administrator; NULL: it does not answer. */
static PGresult *
ask(const struct faults *f, const char *sql)
{
    AUTO(pgconn) PGconn *conn = open_session(f);
    PGresult *res;

    if (PQstatus(conn) != CONNECTION_OK)
        return NULL;
    res = query(conn, sql, 0, NULL);
    if (succeeded(res) && PQntuples(res) > 0)
        return res;
    PQclear(res);
    return NULL;
}

void
faults_await_server(struct faults *f)
{
    uint64_t until = mono_ns() + SERVER_MS * 1000000ull;

    while (mono_ns() < until) {
        AUTO(pgresult) PGresult *res = NULL;
        awa_error err;

        if (place_postmaster(f->place) == 0 && place_start(f->place, &err) != AWA_OK)
            continue;
        res = ask(f, "SELECT pg_is_in_recovery()");
        if (res != NULL)
            return;
        (void)usleep(20000);
    }
    (void)awa__fail(&f->err, AWA_ESYS, "chaos: the server does not come back");
}

/* A process of the server, chosen by a condition on pg_stat_activity. */
static pid_t
find_backend(const struct faults *f, const char *condition)
{
    char sql[400];
    AUTO(pgresult) PGresult *res = NULL;

    snprintf(sql, sizeof sql,
             "SELECT pid FROM pg_stat_activity WHERE usename LIKE 'chaos_%%' AND %s"
             " ORDER BY random() LIMIT 1",
             condition);
    res = ask(f, sql);
    return res != NULL ? (pid_t)number_at(res, 0, 0) : 0;
}

static bool
terminate(const struct faults *f, const char *condition)
{
    pid_t pid = find_backend(f, condition);

    return pid != 0 && kill(pid, SIGTERM) == 0;
}

static const char *const conditions[FAULTS] = {
    [FAULT_BACKEND] = "true",
    [FAULT_CLAIMER] = "query ~ 'awa.claim_jobs|awa.heartbeat' AND usename = 'chaos_worker'",
    [FAULT_CLOSER] = "query ~ 'awa.complete_job|awa.close_jobs' AND usename = 'chaos_worker'",
    [FAULT_LEADER] = "query ~ 'awa.lead|awa.turn_ring|awa.promote|awa.rescue|awa.summ'"
                     " AND usename = 'chaos_worker'",
};

/*
 * The server ends all sessions when one of its processes was killed: a session of ours tells when
 * it has noticed. Before, it would still take connections, as if it had recovered already.
 */
static bool
kill_backend(const struct faults *f)
{
    AUTO(pgconn) PGconn *witness = open_session(f);
    pid_t pid = find_backend(f, conditions[FAULT_BACKEND]);
    struct pollfd fd = { .fd = PQsocket(witness), .events = POLLIN };

    if (PQstatus(witness) != CONNECTION_OK || pid == 0 || kill(pid, SIGKILL) != 0)
        return false;
    return poll(&fd, 1, SERVER_MS) == 1;
}

static bool
hit_server(struct faults *f, const struct planned *what)
{
    switch (what->fault) {
    case FAULT_BACKEND:
        if (!kill_backend(f))
            return false;
        break;
    case FAULT_POSTMASTER:
        place_end_server(f->place, SIGKILL);
        break;
    case FAULT_FAST:
        place_end_server(f->place, SIGINT);
        break;
    default:
        place_end_server(f->place, SIGQUIT);
    }
    faults_await_server(f);
    return true;
}

static bool
hit_disk(struct faults *f)
{
    if (f->place->disk[0] == '\0')
        return false;
    place_fill_disk(f->place);
    for (int i = 0; i < SWITCHES; i++) { /* segments that were there before are used up first */
        AUTO(pgresult) PGresult *res = ask(f, "SELECT pg_switch_wal()");

        if (res == NULL)
            break;
    }
    return true;
}

/* ---- Workers ----------------------------------------------------------------------------- */

static struct member *
find_leader(struct faults *f)
{
    AUTO(pgresult)
    PGresult *res = ask(f, "SELECT substr(w.name, 2) FROM awa.leaders AS l JOIN awa.workers AS w"
                           " USING (worker_id) ORDER BY l.term DESC LIMIT 1");

    return res != NULL ? fleet_find(f->fleet, (uint32_t)number_at(res, 0, 0)) : NULL;
}

static bool
hit_worker(struct faults *f, struct active *a)
{
    struct member *m = a->member;
    static const int jumps[] = { 3600, -3600, 86400, -86400, 7, 0 };

    switch (a->what.fault) {
    case FAULT_KILL:
    case FAULT_KILL_LEADER:
        if (m == &f->fleet->members[0])
            return false;
        fleet_kill(f->fleet, m, 300 + a->what.value % 3000);
        return true;
    case FAULT_CLOCK:
        fake_clock_move(m->pid, jumps[a->what.value % 6]);
        return true;
    default: /* pause, freeze */
        m->frozen = true;
        return kill(m->pid, SIGSTOP) == 0;
    }
}

/* ---- The network ------------------------------------------------------------------------- */

static const struct {
    enum order order;
    bool lasting;
} network[FAULTS] = {
    [FAULT_CUT] = { ORDER_CUT, false },
    [FAULT_CUT_BEFORE] = { ORDER_CUT_BEFORE, false },
    [FAULT_CUT_AFTER] = { ORDER_CUT_AFTER, false },
    [FAULT_CUT_COMMIT] = { ORDER_CUT_COMMIT, false },
    [FAULT_DELAY] = { ORDER_DELAY, true },
    [FAULT_HOLE] = { ORDER_HOLE, true },
};

static bool
link_is_taken(const struct faults *f, int link)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->active[i].link == link)
            return true;
    return false;
}

static bool
hit_network(struct faults *f, struct active *a)
{
    if (link_is_taken(f, a->link))
        return false;
    fleet_order(f->fleet, a->link, network[a->what.fault].order,
                20 + (uint32_t)a->what.value % 200);
    if (!network[a->what.fault].lasting)
        a->link = -1;
    return true;
}

/* ---- Guests ------------------------------------------------------------------------------ */

static bool
invite(struct faults *f, struct active *a)
{
    static char numbers[MEMBERS_MAX][16];
    char *number = numbers[f->number % MEMBERS_MAX];

    snprintf(number, sizeof numbers[0], "%d",
             a->what.fault == FAULT_THIEF ? a->what.value : a->what.length_ms);
    if (a->what.fault == FAULT_THIEF)
        a->member = fleet_add(f->fleet, "thief", NULL, -1, number, NULL);
    else if (a->what.fault == FAULT_CONNECTIONS)
        a->member = fleet_add(f->fleet, "hog", "chaos_worker", -1, number, NULL);
    else
        a->member = fleet_add(f->fleet, "holder", "chaos_producer", -1,
                              a->what.fault == FAULT_WRITER ? "writer" : "snapshot", number);
    if (a->member == NULL)
        return false;
    a->until_ns = 0;
    a->proc = a->member->proc;
    return true;
}

/* ---- All of them ------------------------------------------------------------------------- */

static bool
hit(struct faults *f, struct active *a)
{
    switch (a->what.fault) {
    case FAULT_KILL:
    case FAULT_PAUSE:
    case FAULT_FREEZE:
    case FAULT_CLOCK:
    case FAULT_KILL_LEADER:
        return hit_worker(f, a);
    case FAULT_BACKEND:
    case FAULT_POSTMASTER:
    case FAULT_FAST:
    case FAULT_IMMEDIATE:
        return hit_server(f, &a->what);
    case FAULT_CLAIMER:
    case FAULT_CLOSER:
    case FAULT_LEADER:
        return terminate(f, conditions[a->what.fault]);
    case FAULT_DISK:
        return hit_disk(f);
    case FAULT_CUT:
    case FAULT_CUT_BEFORE:
    case FAULT_CUT_AFTER:
    case FAULT_CUT_COMMIT:
    case FAULT_DELAY:
    case FAULT_HOLE:
        return hit_network(f, a);
    default:
        return invite(f, a);
    }
}

static bool
disk_is_full(const struct faults *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->active[i].what.fault == FAULT_DISK)
            return true;
    return false;
}

/*
 * What a fault is aimed at; false: there is nothing. While its disk is full the server cannot come
 * back, and is left alone.
 */
static bool
aim(struct faults *f, struct active *a)
{
    a->link = -1;
    if (disk_is_full(f) && is_outage(a->what.fault))
        return false;
    switch (a->what.fault) {
    case FAULT_KILL_LEADER:
        a->member = find_leader(f);
        break;
    case FAULT_KILL:
        a->member = fleet_worker(f->fleet, 1 + a->what.target % (WORKERS - 1));
        break;
    case FAULT_PAUSE:
    case FAULT_FREEZE:
    case FAULT_CLOCK:
        a->member = fleet_worker(f->fleet, a->what.target);
        break;
    default:
        if (network[a->what.fault].order == ORDER_PASS)
            return true;
        a->link = (int)(a->what.target % (uint32_t)fleet_links());
        a->member = fleet_at_link(f->fleet, a->link);
    }
    a->proc = a->member != NULL ? a->member->proc : 0;
    return a->member != NULL && a->member->pid != 0;
}

void
faults_inject(struct faults *f, const struct planned *what)
{
    struct active a = { .what = *what };
    bool lasts = what->length_ms > 0 || what->fault == FAULT_THIEF;

    if (f->n == ACTIVE_MAX || !aim(f, &a)) {
        f->skipped++;
        return;
    }
    a.until_ns = mono_ns() + (uint64_t)what->length_ms * 1000000;
    a.record = record_begin((struct record){
        .op = OP_FAULT, .res = (uint8_t)what->fault, .key = a.proc, .aux = ++f->number });
    if (!hit(f, &a)) {
        record_end(a.record, PHASE_FAIL);
        f->skipped++;
        return;
    }
    if (lasts)
        f->active[f->n++] = a;
    else
        record_end(a.record, PHASE_OK);
}

static void
lift(struct faults *f, struct active *a)
{
    if (a->what.fault == FAULT_PAUSE || a->what.fault == FAULT_FREEZE) {
        struct member *m = fleet_find(f->fleet, a->proc);

        if (m != NULL) {
            m->frozen = false;
            (void)kill(m->pid, SIGCONT);
        }
    } else if (a->what.fault == FAULT_DISK) {
        place_empty_disk(f->place);
        faults_await_server(f);
    } else if (a->link >= 0) {
        fleet_order(f->fleet, a->link, a->what.value % 2 == 0 ? ORDER_PASS : ORDER_CUT, 0);
    }
    record_end(a->record, PHASE_OK);
}

static bool
is_over(struct faults *f, const struct active *a)
{
    return a->until_ns != 0 ? mono_ns() >= a->until_ns : fleet_find(f->fleet, a->proc) == NULL;
}

void
faults_turn(struct faults *f, bool all)
{
    size_t n = 0;

    if (all)
        (void)fleet_end(f->fleet, ROLE_OTHER, 10000);
    for (size_t i = 0; i < f->n; i++) {
        struct active *a = &f->active[i];

        if (all || is_over(f, a)) {
            lift(f, a);
            continue;
        }
        f->active[n++] = *a;
    }
    f->n = n;
    if (!disk_is_full(f) && place_postmaster(f->place) == 0)
        faults_await_server(f);
}
