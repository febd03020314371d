/* SPDX-License-Identifier: MIT */
/* See faults.h. The first worker is never killed: its memory is watched for the whole run. */
#include "faults.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/owner.h"
#include "clock.h"
#include "server_faults.h"

enum { CALM_MS = 5000, FILES = 1024, FEW_FILES = 10 };

/* ---- Workers ----------------------------------------------------------------------------- */

static struct member *
find_leader(struct faults *f)
{
    AUTO(pgresult)
    PGresult *res =
        server_ask(f, "SELECT substr(w.name, 2) FROM awa.leaders AS l JOIN awa.workers AS w"
                      " USING (worker_id) ORDER BY l.term DESC LIMIT 1");

    return res != NULL ? fleet_find(f->fleet, (uint32_t)number_at(res, 0, 0)) : NULL;
}

/* In a child: as the user of that process, for root may lack the right to set limits of others. */
static _Noreturn void
set_limit_and_exit(pid_t pid, bool processes, bool starve)
{
    char path[40];
    struct stat owner;
    struct rlimit limit;

    snprintf(path, sizeof path, "/proc/%d", pid);
    if (stat(path, &owner) != 0 || !owner_become((struct owner){ owner.st_uid, owner.st_gid }) ||
        prlimit(pid, processes ? RLIMIT_NPROC : RLIMIT_NOFILE, NULL, &limit) != 0)
        _exit(1);
    limit.rlim_cur = limit.rlim_max < FILES ? limit.rlim_max : FILES;
    if (processes)
        limit.rlim_cur = limit.rlim_max;
    if (starve)
        limit.rlim_cur = processes ? 0 : FEW_FILES;
    _exit(prlimit(pid, processes ? RLIMIT_NPROC : RLIMIT_NOFILE, &limit, NULL) != 0);
}

/*
 * Takes from a worker what it needs to start a program, or gives it back: processes, which root has
 * without a limit, or files. What it has already, it keeps.
 */
static bool
set_limit(const struct active *a, bool starve)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        set_limit_and_exit(a->member->pid, a->what.value % 2 == 0 && getuid() == 0, starve);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
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
    case FAULT_STARVED:
        return set_limit(a, true);
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

/* Each is told how long to stay, and a random number. */
static const struct {
    const char *mode, *user;
} guests[FAULTS] = {
    [FAULT_CONNECTIONS] = { "hog", "chaos_worker" },
    [FAULT_SNAPSHOT] = { "reader", "chaos_producer" },
    [FAULT_WRITER] = { "writer", "chaos_producer" },
    [FAULT_NEIGHBOUR] = { "neighbour", NULL },
    [FAULT_THIEF] = { "thief", NULL },
    [FAULT_LOCKED] = { "locker", NULL },
    [FAULT_DUMP] = { "dumper", NULL },
};

static bool
invite(struct faults *f, struct active *a)
{
    static char texts[MEMBERS_MAX][2][16];
    char *length = texts[f->number % MEMBERS_MAX][0], *value = texts[f->number % MEMBERS_MAX][1];

    snprintf(length, sizeof texts[0][0], "%d", a->what.length_ms);
    snprintf(value, sizeof texts[0][1], "%d", a->what.value);
    a->member =
        fleet_add(f->fleet, guests[a->what.fault].mode, guests[a->what.fault].user, length, value);
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
    case FAULT_STARVED:
        return hit_worker(f, a);
    case FAULT_CUT:
    case FAULT_CUT_BEFORE:
    case FAULT_CUT_AFTER:
    case FAULT_CUT_COMMIT:
    case FAULT_DELAY:
    case FAULT_HOLE:
        return hit_network(f, a);
    default:
        return guests[a->what.fault].mode != NULL ? invite(f, a) : server_hit(f, &a->what);
    }
}

static bool
is_active(const struct faults *f, enum fault fault)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->active[i].what.fault == fault)
            return true;
    return false;
}

/* The server can neither answer nor come back: it is left alone. */
static bool
server_is_away(const struct faults *f)
{
    return is_active(f, FAULT_DISK) || is_active(f, FAULT_STALL);
}

/* What is healed by healing the server. */
static bool
is_of_the_host(enum fault fault)
{
    return fault == FAULT_DISK || fault == FAULT_STALL || fault == FAULT_READONLY ||
           fault == FAULT_SERVER_CLOCK;
}

/* What stops everybody for long comes one at a time, and not again at once: work must go on. */
static bool
stops_for_long(enum fault fault)
{
    return fault == FAULT_DISK || fault == FAULT_STALL || fault == FAULT_READONLY ||
           fault == FAULT_LOCKED;
}

static bool
comes_too_early(const struct faults *f, enum fault fault)
{
    if (fault == FAULT_SERVER_CLOCK || fault == FAULT_DUMP || fault == FAULT_STARVED)
        return is_active(f, fault);
    for (size_t i = 0; i < f->n && stops_for_long(fault); i++)
        if (stops_for_long(f->active[i].what.fault))
            return true;
    return stops_for_long(fault) && mono_ns() < f->calm_ns;
}

static bool
needs_the_server(enum fault fault)
{
    return is_outage(fault) || is_of_the_host(fault) || fault == FAULT_CLAIMER ||
           fault == FAULT_CLOSER || fault == FAULT_LEADER || fault == FAULT_KILL_LEADER;
}

/* What a fault is aimed at; false: there is nothing. */
static bool
aim(struct faults *f, struct active *a)
{
    enum fault fault = a->what.fault;

    a->link = -1;
    if ((server_is_away(f) && needs_the_server(fault)) || comes_too_early(f, fault))
        return false;
    switch (fault) {
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
    case FAULT_STARVED:
        a->member = fleet_programs(f->fleet);
        break;
    default:
        if (network[fault].order == ORDER_PASS)
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
    bool lasts = what->length_ms > 0 || guests[what->fault].mode != NULL;

    f->number++;
    if (f->n == ACTIVE_MAX || !aim(f, &a)) {
        f->skipped++;
        return;
    }
    a.until_ns = mono_ns() + (uint64_t)what->length_ms * 1000000;
    a.record = record_begin((struct record){ .op = OP_FAULT,
                                             .res = (uint8_t)what->fault,
                                             .key = a.proc,
                                             .job = (uint64_t)step_at_first(what),
                                             .aux = f->number });
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
    } else if (a->what.fault == FAULT_STARVED) {
        if (fleet_find(f->fleet, a->proc) != NULL)
            (void)set_limit(a, false);
    } else if (is_of_the_host(a->what.fault)) {
        server_heal(f, &a->what);
    } else if (a->link >= 0) {
        fleet_order(f->fleet, a->link, a->what.value % 2 == 0 ? ORDER_PASS : ORDER_CUT, 0);
    }
    if (stops_for_long(a->what.fault))
        f->calm_ns = mono_ns() + CALM_MS * 1000000ull;
    a->record.job = (uint64_t)step_in_the_end(&a->what);
    record_end(a->record, PHASE_OK);
}

/* Who ends a read-only database must ask the server. */
static bool
is_over(const struct faults *f, const struct active *a, bool all)
{
    if (a->what.fault == FAULT_READONLY && server_is_away(f))
        return false;
    if (all || a->until_ns != 0)
        return all || mono_ns() >= a->until_ns;
    return fleet_find(f->fleet, a->proc) == NULL;
}

static void
lift_what_is_over(struct faults *f, bool all)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++) {
        struct active *a = &f->active[i];

        if (is_over(f, a, all))
            lift(f, a);
        else
            f->active[n++] = *a;
    }
    f->n = n;
}

void
faults_turn(struct faults *f, bool all)
{
    lift_what_is_over(f, false);
    if (all) {
        (void)fleet_end(f->fleet, ROLE_OTHER, 10000);
        lift_what_is_over(f, true);
        lift_what_is_over(f, true); /* what had to wait for a server that was away */
    }
    if (!server_is_away(f) && place_postmaster(f->place) == 0)
        faults_await_server(f);
}
