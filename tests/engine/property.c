/* SPDX-License-Identifier: MIT */
/*
 * Random moves in random order, each of a verb or a few of support/verbs.c, and in between: the
 * counters, awa.queue_counts() and awa.jobs agree with each other, key by key, and with a model
 * that was told of the verbs only; and each lane is claimed from in order. In the end everything
 * that can run is run, so what nobody would ever be handed is found, too. Looking takes longer than
 * doing: it is done after one move in three, as its seed says, wherever the engine chose among
 * jobs, and after each move of a sequence that has failed.
 *
 * A sequence is made from its seed alone, and each move has a small seed of its own: one can be
 * left out without changing the others. That is how a failing sequence is shortened before it is
 * shown. The ring has three slots, the fewest with which it turns: there is more carrying to and
 * fro, and a recount costs a quarter.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "property/world.h"

enum {
    STEPS = 1000,
    SEQUENCES = 100,
    LOOK_EVERY = 3,
    SCAN_EVERY = 15, /* a multiple of it; a rebuild and a prune scan as well */
    SHORTEN_S = 60,  /* for making a failing sequence shorter */
};

struct step {
    int move;
    unsigned seed;
};

/* ---- Sequences --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int weight;
    move *run;
} moves[] = {
    { "insert one", 60, insert_one },
    { "insert by SQL", 20, insert_sql },
    { "insert a batch", 50, insert_batch },
    { "insert reserved", 15, insert_reserved },
    { "insert late", 12, begin_late },
    { "roll back", 15, roll_back },
    { "claim", 160, claim },
    { "complete", 50, complete },
    { "close", 90, close_some },
    { "complete inside", 20, complete_inside },
    { "close again", 20, close_again },
    { "crash one", 8, crash_one },
    { "crash all", 4, crash_all },
    { "lose a claim", 8, lose_claim },
    { "expire", 8, expire },
    { "on one", 92, on_one },
    { "retry dead", 15, retry_dead },
    { "hold", 12, begin_held },
    { "on many", 27, on_many },
    { "retry many dead", 12, retry_many_dead },
    { "delete many", 5, delete_many },
    { "drain", 3, drain },
    { "pause", 8, pause_or_resume },
    { "switch dlq", 6, switch_dlq },
    { "seal", 3, seal },
    { "promote", 30, promote },
    { "rotate", 35, rotate },
    { "empty a slot", 40, empty_slot },
    { "fold", 40, fold },
    { "rebuild", 10, rebuild },
    { "poison", 6, poison },
    { "distrust", 1, distrust },
    { "sweep", 6, sweep },
    { "reset", 2, reset },
    { "old snapshot", 5, begin_old },
    { "look", 20, look },
};

enum { MOVES = sizeof moves / sizeof moves[0] };

static void
make_steps(unsigned seed, struct step *ret)
{
    int all = 0;

    for (int i = 0; i < MOVES; i++)
        all += moves[i].weight;
    for (int i = 0; i < STEPS; i++) {
        int at = below(&seed, all), which = 0;

        while (at >= moves[which].weight)
            at -= moves[which++].weight;
        ret[i] = (struct step){ which, (unsigned)rand_r(&seed) };
    }
}

/* Once for a database: as few slots as will do, and what wipes it. */
static const char narrow[] =
    "DO $$ DECLARE v_table text; v_slots int := awa.slots(); BEGIN"
    "    FOREACH v_table IN ARRAY awa.ringed_tables() LOOP"
    "        FOR k IN 3 .. v_slots - 1 LOOP"
    "            EXECUTE format('DROP TABLE awa.%I', v_table || '_' || k);"
    "        END LOOP;"
    "    END LOOP;"
    "END $$;"
    "CREATE FUNCTION test.wipe() RETURNS void LANGUAGE plpgsql AS $$"
    "BEGIN"
    "    PERFORM setval(c.oid, CASE WHEN c.relname ~ '^numbers_' THEN 1 ELSE 0 END, false)"
    "       FROM pg_class AS c WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'S'"
    "        AND c.relname ~ '^(numbers|hunger)_[0-9]+$';"
    "    TRUNCATE awa.claims, awa.lane_gaps, awa.lanes, awa.queues, awa.workers,"
    "             awa.ring_rotations, awa.ring_carries, awa.slot_snapshots;"
    "    ALTER SEQUENCE awa.job_ids RESTART; ALTER SEQUENCE awa.claim_ids RESTART;"
    "    ALTER SEQUENCE awa.lane_ids RESTART; ALTER SEQUENCE awa.worker_numbers RESTART;"
    "    PERFORM setval('awa.served_ms', 1000000000000);"
    "    INSERT INTO awa.ring_rotations (generation, ready_slot) VALUES (1, 0);"
    "    UPDATE awa.settings SET slot_age = '1000 years', deadline = '0 s';"
    "END $$";

/* Ends what an earlier sequence left open. */
static void
close_transactions(struct world *w)
{
    PGconn *const sessions[] = { w->db,   w->worker, w->operator, w->producer, w->bulk, w->late,
                                 w->held, w->old };

    for (size_t i = 0; i < sizeof sessions / sizeof sessions[0]; i++)
        if (PQtransactionStatus(sessions[i]) != PQTRANS_IDLE)
            PQclear(PQexec(sessions[i], "ROLLBACK"));
}

/* An empty database with three queues and two workers, whatever was there. A follower is not due.
 */
static void
begin(struct world *w)
{
    memset(&w->m, 0, sizeof w->m);
    memset(w->paused, 0, sizeof w->paused);
    memset(w->dlq, 0, sizeof w->dlq);
    w->step = w->slot = w->npast = w->ntaken = w->nlines = 0;
    w->late_until = w->held_until = w->old_until = 0;
    w->held_id = w->last_worker = 0;
    close_transactions(w);
    ask(w, w->db, "SELECT awa.reset_storage(current_database())");
    ask(w, w->db, "SELECT test.wipe()");
    w->followed = 0;
    ask(w, w->operator, w->follows ? "SELECT awa.set_follow_rule('each', 'ended', '{\"kind\": "
                                     "\"next\", \"queue\": \"next\","
                                     " \"delay_ms\": 1000000000000}')"
                                   : "SELECT awa.remove_follow_rule('each')");
    for (int q = 0; q < MODEL_QUEUES; q++)
        ask(w, w->operator, "SELECT awa.set_queue('q%d', p_enqueue_shards => %d%s)", q, 1 + q % 2,
            q == 2 ? ", p_deadline => '1 h'" : "");
    for (int i = 0; i < WORKERS; i++)
        hire(w, i);
    compare(w, true);
}

/* Whatever stays open ends; the seed says how. */
static void
end_what_is_due(struct world *w, unsigned seed, bool all)
{
    if (w->late_until > 0 && (all || w->step >= w->late_until))
        end_late(w, seed % 4 != 0);
    if (w->held_until > 0 && (all || w->step >= w->held_until))
        end_held(w, seed % 4 != 0);
    if (w->old_until > 0 && (all || w->step >= w->old_until))
        end_old(w);
}

/* Which of several jobs the engine chose is to be seen before it is asked for more. */
static void
take(struct world *w, struct step s)
{
    bool look = w->closely || s.seed % LOOK_EVERY == 0, scan = s.seed % SCAN_EVERY == 0;
    unsigned seed = s.seed;

    w->step++;
    end_what_is_due(w, seed, false);
    moves[s.move].run(w, &seed);
    if (w->m.trouble[0] == '\0' && (look || w->m.may_n > 0))
        compare(w, scan);
    if (w->m.trouble[0] == '\0' && look && w->old_until > 0)
        compare_old(w, scan);
}

/* Hands out whatever can be, and completes it. Returns how many jobs that were. */
static int
run_all(struct world *w, int minutes)
{
    int n = 0;

    ask(w, w->worker, "SELECT awa.sweep_gaps()");
    for (int q = 0; q < MODEL_QUEUES; q++) {
        ask(w, w->worker,
            "SELECT id, claim_id, pos, ready_slot, attempt FROM awa.claim_jobs(%" PRId64
            ", 'q%d', 1000, clock_timestamp() + interval '%d min')",
            w->workers[0], q, minutes);
        n += claimed(w, w->workers[0], q);
    }
    for (int i = 0; i < w->m.n; i++) {
        struct model_job *j = &w->m.jobs[i];

        if (j->state != MODEL_RUNNING)
            continue;
        ask(w, w->worker, "SELECT awa.complete_job(%" PRId64 ", %" PRId64 ", %" PRId64 ")",
            j->worker, j->claim, j->pos);
        apply(w, verb_named("complete"), j);
    }
    return n;
}

/* In the end all that may run is run: nothing may be left that nobody is handed. */
static void
finish(struct world *w)
{
    end_what_is_due(w, 1, true);
    for (int q = 0; q < MODEL_QUEUES; q++)
        ask(w, w->operator, "SELECT awa.resume_queue('q%d')", q);
    memset(w->paused, 0, sizeof w->paused);
    ask(w, w->worker, "SELECT promoted FROM awa.promote_jobs(p_now => now() + interval '1 d')");
    for (int i = 0; i < w->m.n; i++)
        if (MODEL_IS(&w->m.jobs[i], MODEL_DEFERRED))
            apply(w, verb_named("promote"), &w->m.jobs[i]);
    for (int round = 1, idle = 0; idle < 2 && w->m.trouble[0] == '\0'; round++)
        idle = run_all(w, round) > 0 ? 0 : idle + 1;
    for (int i = 0; i < w->m.n; i++)
        if (MODEL_IS(&w->m.jobs[i], MODEL_LIVE))
            model_trouble(&w->m, "job %" PRId64 " is %s, and nobody is handed it", w->m.jobs[i].id,
                          model_states[w->m.jobs[i].state]);
    if (w->m.trouble[0] == '\0')
        compare(w, true);
}

/* How many steps it took until something was wrong; n + 1: it was in the end; 0: nothing is. */
static int
play(struct world *w, const struct step *steps, int n)
{
    begin(w);
    for (int i = 0; i < n && w->m.trouble[0] == '\0'; i++)
        take(w, steps[i]);
    if (w->m.trouble[0] != '\0')
        return w->step > 0 ? w->step : 1;
    finish(w);
    return w->m.trouble[0] != '\0' ? n + 1 : 0;
}

/* ---- Shortening -------------------------------------------------------------------------- */

/* Leaves out n steps from at on if something is still wrong without them. */
static bool
leave_out(struct world *w, struct step *steps, int *n, int at, int gap)
{
    struct step left[STEPS];
    int wrong;

    memcpy(left, steps, sizeof *steps * (size_t)at);
    memcpy(left + at, steps + at + gap, sizeof *steps * (size_t)(*n - at - gap));
    wrong = play(w, left, *n - gap);
    if (wrong == 0)
        return false;
    *n = wrong < *n - gap ? wrong : *n - gap;
    memcpy(steps, left, sizeof left);
    return true;
}

/* Returns how many steps are left of n. */
static int
shorten(struct world *w, struct step *steps, int n)
{
    time_t end = time(NULL) + SHORTEN_S;

    for (int gap = n / 2; gap > 0; gap /= 2)
        for (int at = n - gap; at >= 0 && time(NULL) < end; at -= gap)
            if (at + gap <= n)
                (void)leave_out(w, steps, &n, at, gap);
    return n;
}

static void
show(struct world *w, unsigned seed, int wrong, struct step *steps)
{
    int n = wrong < STEPS ? wrong : STEPS;

    print_error("\nseed %u: wrong after step %d of %d\n%s\n", seed, wrong, STEPS, w->m.trouble);
    w->closely = true;
    wrong = play(w, steps, n);
    if (wrong > 0) {
        n = wrong < n ? wrong : n;
        print_error("Looked at after each step: after step %d\n%s\n", wrong, w->m.trouble);
    }
    print_error("The last statements:\n");
    for (int i = w->nlines > LINES_MAX ? w->nlines - LINES_MAX : 0; i < w->nlines; i++)
        print_error("%s\n", w->lines[i % LINES_MAX]);
    n = shorten(w, steps, n);
    print_error("\nShortened to %d steps:", n);
    for (int i = 0; i < n; i++)
        print_error(" %s%s", moves[steps[i].move].name, i + 1 < n ? "," : "\n");
    w->loud = true;
    (void)play(w, steps, n);
    w->loud = false;
    print_error("%s\nTo see it again: AWA_PROPERTY_SEED=%u AWA_PROPERTY_SEQUENCES=1"
                " ./dev test engine/property\n",
                w->m.trouble[0] != '\0' ? w->m.trouble : "Now nothing is wrong.", seed);
}

/* ---- The test ---------------------------------------------------------------------------- */

static unsigned
number_from(const char *variable, unsigned otherwise)
{
    const char *text = getenv(variable);

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void
open_world(struct world *w, PGconn *db)
{
    *w = (struct world){ .db = db,
                         .worker = test_connect(db, "worker"),
                         .operator= test_connect(db, "operator"),
                         .producer = test_connect(db, "producer"),
                         .bulk = test_connect(db, "bulk"),
                         .late = test_connect(db, "producer"),
                         .held = test_connect(db, "operator"),
                         .old = test_connect(db, NULL) };
    test_make_recount(db);
    test_exec(db, "SET client_min_messages = warning");
    test_exec(db, narrow);
    compare_prepare(w);
}

static unsigned share, shares = 1; /* this program runs every shares-th sequence */

static void
random_verbs_lose_no_job_and_no_count(void **state)
{
    static struct world w;
    static struct step steps[STEPS];
    unsigned first = number_from("AWA_PROPERTY_SEED", 1), n = 0;
    unsigned last = first + number_from("AWA_PROPERTY_SEQUENCES", SEQUENCES);
    time_t began = time(NULL);

    open_world(&w, *state);
    for (unsigned seed = first + share; seed < last; seed += shares, n++) {
        int wrong;

        make_steps(seed, steps);
        w.follows = seed / 2 % 2 == 0;
        wrong = play(&w, steps, STEPS);
        if (wrong > 0) {
            show(&w, seed, wrong, steps);
            fail_msg("seed %u", seed);
        }
    }
    print_message("%u sequences of %d moves, each %u-th from seed %u on: %lld s\n", n, STEPS,
                  shares, first + share, (long long)(time(NULL) - began));
}

/* property [SHARE SHARES] */
int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(random_verbs_lose_no_job_and_no_count),
    };

    if (argc == 3) {
        share = (unsigned)strtoul(argv[1], NULL, 10);
        shares = (unsigned)strtoul(argv[2], NULL, 10);
    }
    return TEST_RUN(tests);
}
