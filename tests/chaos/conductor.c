/* SPDX-License-Identifier: MIT */
/*
 * The conductor: makes a place, starts everybody, lets the nemesis loose for as long as it was
 * told, heals what was broken, waits until every job has ended, ends everybody, and has the
 * history checked.
 */
#include <getopt.h>
#include <signal.h>

#include "check.h"
#include "faults.h"
#include "final.h"
#include "watcher.h"

enum { PLAN_MAX = 20000, DRAIN_MS = 180000, TURN_MS = 10, PROGRESS_MS = 5000, SAMPLE_MS = 2000 };

struct run {
    struct place place;
    struct fleet fleet;
    struct faults faults;
    struct planned plan[PLAN_MAX];
    size_t nplan;
    struct verdict_options options;
    const char *json;
    bool keep;
    uint64_t began_ns, sampled_ns, said_ns;
    int64_t said_ended;
};

static volatile sig_atomic_t interrupted;

static void
note_interrupt(int number)
{
    interrupted = number;
}

/* ---- Options ----------------------------------------------------------------------------- */

static int
usage(void)
{
    fputs("usage: chaos [--seconds N] [--seed S] [--faults LIST] [--json FILE] [--keep]\n"
          "       chaos --check DIR   judges the histories of an earlier run once more\n"
          "  LIST is all, none, or names joined by commas:\n",
          stderr);
#define X(name, word, share, text) fprintf(stderr, "    %-12s %s\n", word, text);
    FAULT_MAP(X)
#undef X
    return 2;
}

static int
read_options(struct run *run, int argc, char **argv)
{
    static const struct option options[] = {
        { "seconds", required_argument, NULL, 's' },
        { "seed", required_argument, NULL, 'e' },
        { "faults", required_argument, NULL, 'f' },
        { "json", required_argument, NULL, 'j' },
        { "keep", no_argument, NULL, 'k' },
        { "check", required_argument, NULL, 'c' },
        { NULL, 0, NULL, 0 },
    };
    const char *bad = NULL;
    int option;

    run->options = (struct verdict_options){ .seed = 1, .seconds = 60, .faults = "all" };
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        switch (option) {
        case 's':
            run->options.seconds = strtoll(optarg, NULL, 10);
            break;
        case 'e':
            run->options.seed = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            run->options.faults = optarg;
            break;
        case 'j':
            run->json = optarg;
            break;
        case 'k':
            run->keep = true;
            break;
        case 'c':
            snprintf(run->place.dir, sizeof run->place.dir, "%s", optarg);
            break;
        default:
            return usage();
        }
    if (optind < argc || run->options.seconds < 10 || run->options.seconds > 3500)
        return usage(); /* after an hour the engine forgets dead workers, our proof of rescues */
    if (!faults_read(run->options.faults, &run->options.set, &bad))
        return usage();
    return 0;
}

/* ---- The load ---------------------------------------------------------------------------- */

static double
seconds_since(uint64_t ns)
{
    return (double)(mono_ns() - ns) / 1e9;
}

static void
say(struct run *run, const char *what)
{
    const struct board *board = run->fleet.board;
    int64_t ended = atomic_load(&board->ended);
    double passed = run->said_ns != 0 ? seconds_since(run->said_ns) : 1;

    printf("%6.1f s  %-8s %9lld jobs inserted, %9lld runs (%6.0f/s), %6lld wait; %4u faults, "
           "%lld of %lld stale writes refused\n",
           seconds_since(run->began_ns), what, (long long)atomic_load(&board->inserted),
           (long long)ended, (double)(ended - run->said_ended) / passed,
           (long long)atomic_load(&board->backlog), run->faults.number - run->faults.skipped,
           (long long)atomic_load(&board->stale_refused),
           (long long)atomic_load(&board->stale_tried));
    fflush(stdout);
    run->said_ns = mono_ns();
    run->said_ended = ended;
}

static void
turn(struct run *run, const char *what, bool faults)
{
    fleet_turn(&run->fleet);
    faults_turn(&run->faults, false);
    if (seconds_since(run->sampled_ns) * 1000 > SAMPLE_MS) {
        if (faults)
            fleet_sample(&run->fleet);
        run->sampled_ns = mono_ns();
    }
    if (seconds_since(run->said_ns) * 1000 > PROGRESS_MS)
        say(run, what);
    (void)usleep(TURN_MS * 1000);
}

static bool
goes_on(const struct run *run)
{
    return interrupted == 0 && run->faults.err.status == AWA_OK;
}

static void
make_trouble(struct run *run)
{
    uint64_t until = run->began_ns + (uint64_t)run->options.seconds * 1000000000;
    size_t next = 0;

    while (goes_on(run) && mono_ns() < until) {
        if (next < run->nplan &&
            mono_ns() >= run->began_ns + (uint64_t)run->plan[next].at_ms * 1000000)
            faults_inject(&run->faults, &run->plan[next++]);
        turn(run, "trouble", true);
    }
}

/* ---- The end ----------------------------------------------------------------------------- */

static awa_status
connect_as_admin(const struct run *run, PGconn **ret_conn, awa_error *err)
{
    char dsn[300];

    place_dsn(&run->place, NULL, -1, dsn, sizeof dsn);
    return awa_connect(dsn, ret_conn, err);
}

/* What an operator does after such a day: no queue is left paused, no retry waits for its backoff.
 */
static int64_t
ask_what_lives(const struct run *run)
{
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(pgresult) PGresult *resumed = NULL;
    AUTO(pgresult) PGresult *hurried = NULL;
    AUTO(pgresult) PGresult *res = NULL;

    if (connect_as_admin(run, &conn, NULL) != AWA_OK)
        return -1;
    resumed =
        query(conn, "SELECT awa.resume_queue(queue) FROM awa.queues WHERE paused_at IS NOT NULL", 0,
              NULL);
    hurried = query(conn,
                    "SELECT awa.retry_job(id) FROM awa.deferred_jobs"
                    " WHERE run_at > now() + interval '2 s'",
                    0, NULL);
    res = query(conn,
                "SELECT sum(available + scheduled + retryable + running)::bigint"
                "  FROM awa.queue_counts()",
                0, NULL);
    return succeeded(res) ? number_at(res, 0, 0) : -1;
}

static void
conclude(bool good, enum conclusion what, uint64_t number)
{
    record_write((struct record){ .op = OP_CHECK,
                                  .phase = good ? PHASE_OK : PHASE_FAIL,
                                  .res = (uint8_t)what,
                                  .job = number });
}

/* Everything is healed and nothing new comes: what went in must come out. */
static void
drain(struct run *run)
{
    uint64_t began = mono_ns();
    int64_t left = -1;

    while (goes_on(run) && left != 0 && seconds_since(began) * 1000 < DRAIN_MS) {
        uint64_t next = mono_ns() + 500000000;

        left = ask_what_lives(run);
        while (left != 0 && mono_ns() < next)
            turn(run, "drain", false);
    }
    conclude(left == 0, CONCLUSION_DRAINED, (mono_ns() - began) / 1000000);
}

static awa_status
end_all(struct run *run, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s;

    conclude(fleet_end(&run->fleet, ROLE_WORKER, 40000), CONCLUSION_STOPPED, 0);
    (void)fleet_end(&run->fleet, ROLE_WATCHER, 20000);
    conclude(run->fleet.crashes == 0, CONCLUSION_CRASHES, run->fleet.crashes);
    s = connect_as_admin(run, &conn, err);
    return s == AWA_OK ? final_record(conn, err) : s;
}

static bool
wants(const struct run *run, enum fault fault)
{
    return (run->options.set >> fault & 1) != 0;
}

static awa_status
perform(struct run *run, awa_error *err)
{
    awa_status s = place_make(&run->place, wants(run, FAULT_SERVER_CLOCK), err);

    if (s == AWA_OK)
        s = record_open(run->place.dir, 0, err);
    if (s == AWA_OK)
        s = board_map(run->place.dir, true, &run->fleet.board, err);
    run->fleet.place = run->faults.place = &run->place;
    run->fleet.seed = run->options.seed;
    run->faults.fleet = &run->fleet;
    if (s == AWA_OK && run->place.disk[0] == '\0' && wants(run, FAULT_DISK))
        printf("chaos: no disk can be mounted here: fault `disk` is skipped\n");
    if (s == AWA_OK && run->place.clock == NULL && wants(run, FAULT_SERVER_CLOCK))
        printf("chaos: the server takes no preloaded clock: fault `server-clock` is skipped\n");
    run->began_ns = run->said_ns = mono_ns();
    if (s == AWA_OK)
        s = fleet_begin(&run->fleet, err);
    if (s != AWA_OK)
        return s;
    make_trouble(run);
    faults_turn(&run->faults, true);
    for (int link = 0; link < fleet_links(); link++)
        fleet_order(&run->fleet, link, ORDER_PASS, 0);
    say(run, "healed");
    (void)fleet_end(&run->fleet, ROLE_PRODUCER, 20000);
    (void)fleet_end(&run->fleet, ROLE_OPERATOR, 20000);
    (void)fleet_end(&run->fleet, ROLE_ZOMBIE, 20000);
    drain(run);
    if (run->faults.err.status != AWA_OK) {
        *err = run->faults.err;
        return err->status;
    }
    if (interrupted != 0)
        return awa__fail(err, AWA_ESYS, "chaos: interrupted");
    s = end_all(run, err);
    say(run, "ended");
    return s;
}

static void
fill_verdict_options(struct run *run)
{
    run->options.dir = run->place.dir;
    run->options.skipped = run->faults.skipped;
    for (uint32_t i = 0; i < PROCS_MAX; i++)
        run->options.worker_stale += (uint64_t)atomic_load(&run->fleet.board->seats[i].stale);
}

/* The log of the server outlives the cluster. */
static void
save_server_log(const struct run *run)
{
    static const char *const names[] = { "server.log.1", "server.log" };
    char path[200];

    snprintf(path, sizeof path, "%s/server.log", run->place.dir);
    AUTO(file) FILE *to = fopen(path, "we");
    for (size_t i = 0; i < 2 && to != NULL; i++) {
        char bytes[65536];

        snprintf(path, sizeof path, "%s/%s", run->place.server, names[i]);
        AUTO(file) FILE *from = fopen(path, "re");
        for (size_t n; from != NULL && (n = fread(bytes, 1, sizeof bytes, from)) > 0;)
            fwrite(bytes, 1, n, to);
    }
}

static int
check_again(struct run *run)
{
    awa_error err;

    if (board_map(run->place.dir, false, &run->fleet.board, &err) != AWA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    fill_verdict_options(run);
    return check_run(&run->options, run->json);
}

int
conductor_main(int argc, char **argv)
{
    static struct run run;
    struct sigaction action = { .sa_handler = note_interrupt };
    awa_error err = { 0 };
    awa_status s;
    int code = read_options(&run, argc, argv);

    if (code != 0)
        return code;
    if (run.place.dir[0] != '\0')
        return check_again(&run);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    run.nplan = plan_faults(run.options.seed, run.options.seconds * 1000, run.options.set, run.plan,
                            PLAN_MAX);
    s = perform(&run, &err);
    save_server_log(&run);
    (void)fleet_end(&run.fleet, ROLE_PROXY, 2000);
    if (s != AWA_OK) {
        fprintf(stderr, "%s\nchaos: what happened lies in %s\n", err.message, run.place.dir);
        place_remove(&run.place);
        return 1;
    }
    place_remove(&run.place);
    fill_verdict_options(&run);
    code = check_run(&run.options, run.json);
    if (code == 0 && !run.keep)
        place_forget(&run.place);
    else
        fprintf(stderr, "chaos: the histories lie in %s\n", run.place.dir);
    return code;
}
