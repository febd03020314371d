/* SPDX-License-Identifier: MIT */
/*
 * A hot statement has one sensible plan, whatever the statistics say: it reads as many pages from
 * large tables as from small ones. EXPLAIN (ANALYZE, BUFFERS) of a call counts what the function
 * reads.
 */
#include "base/clock.h"
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

enum {
    LARGE = 300000,     /* jobs, of which 100,000 wait */
    DEFERRED = 30000,   /* and these wait for their time */
    LEVELS = 3,         /* of an index that was one page while its table was small */
    MARGIN = 400,       /* pages more than that */
    WITHDRAWN = 100000, /* jobs, a third of them */
    ROLLBACKS = 1000,
    TRIES = 4,
    FEW = 20, /* pages of which nothing is said */
    KEYS = 2000,
    SCATTERED = 40000,
    SCATTERED_MS = 4000, /* a call takes 30 to 400 ms; what costs the square took 7 s or more */
};

/* A call, with a job or an attempt in it if it needs one. */
static const struct {
    const char *name, *sql;
    int pages; /* at most, on tables with a few rows */
} calls[] = {
    { "insert one", "awa.insert_job('k')", 120 },
    { "insert 100", "awa.insert_jobs(array_fill('k'::text, '{100}'))", 900 },
    { "claim one", "awa.claim_jobs(7, 'default', 1)", 400 },
    { "claim 100", "awa.claim_jobs(7, 'default', 100)", 400 },
    { "claim nothing", "awa.claim_jobs(7, 'nowhere', 100)", 100 },
    { "complete", "awa.complete_jobs(7, '{<slot>}', '{<claim>}', '{\"{[<pos>,<pos>]}\"}')", 200 },
    { "close", "awa.close_jobs(7, '{<slot>}', '{<claim>}', '{<pos>}', '{failed}')", 400 },
    { "retry later", "awa.close_jobs(7, '{<slot>}', '{<claim>}', '{<pos>}', '{retried}')", 400 },
    { "release", "awa.close_jobs(7, '{<slot>}', '{<claim>}', '{<pos>}', '{released}')", 400 },
    { "stale", "awa.close_jobs(7, '{<slot>}', '{<claim>}', '{5}', '{failed}')", 400 },
    { "complete in a transaction", "awa.complete_job(7, <claim>, <pos>)", 300 },
    { "heartbeat", "awa.heartbeat('{7}', '{default}', '{<claim>}', '{\"<run>\"}')", 300 },
    { "promote", "awa.promote_jobs(p_max => 10, p_now => '2200-01-01')", 600 },
    { "promote nothing", "awa.promote_jobs('2200-01-01')", 100 },
    { "lead", "awa.lead(7, clock_timestamp(), clock_timestamp())", 200 },
    { "get", "awa.get_job(<id>)", 300 },
    { "get an old one", "awa.get_job(1000)", 300 },
    { "cancel a running one", "awa.cancel_job(<id>)", 700 },
    { "list", "awa.list_jobs(p_limit => 10)", 6000 },
    { "list failed", "awa.list_jobs('failed', p_limit => 10)", 1500 },
    { "rescue nobody", "awa.rescue_jobs()", 200 },
    { "expire nothing", "awa.expire_jobs(clock_timestamp())", 200 },
    { "sweep nothing", "awa.sweep_gaps()", 50 },
};
enum { CALLS = sizeof calls / sizeof calls[0] };

/* How many pages a call reads, once its plans are made and its catalog is read. */
static int64_t
pages(PGconn *conn, const char *call)
{
    const char *json;
    const char *hit, *read;

    json = test_text(conn, test_format("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT %s", call));
    hit = strstr(json, "\"Shared Hit Blocks\": ");
    read = strstr(json, "\"Shared Read Blocks\": ");
    assert_non_null(hit);
    assert_non_null(read);
    return strtoll(hit + strlen("\"Shared Hit Blocks\": "), NULL, 10) +
           strtoll(read + strlen("\"Shared Read Blocks\": "), NULL, 10);
}

/* The same, and nothing comes of the call. */
static int64_t
pages_undone(PGconn *conn, const char *call)
{
    int64_t n;

    test_exec(conn, "BEGIN");
    n = pages(conn, call);
    test_exec(conn, "ROLLBACK");
    return n;
}

/*
 * The best of a few: other databases of the cluster come and go, and can make a session read its
 * catalog again at any time.
 */
static int64_t
best_pages(PGconn *conn, const char *call)
{
    int64_t best = INT64_MAX;

    for (int k = 0; k < TRIES; k++) {
        int64_t n = pages_undone(conn, call);

        if (n < best)
            best = n;
    }
    return best;
}

/* All calls. Also the best of a few, but not all of one attempt. */
static void
measure(PGconn *db, PGconn *session, int64_t *ret_pages)
{
    for (size_t i = 0; i < CALLS; i++) {
        struct attempt a[2] = { 0 };

        test_exec(db, "SELECT awa.insert_jobs('{k,k}')");
        if (strcmp(calls[i].name, "promote") == 0)
            test_exec(db, "SELECT awa.insert_job('k', p_queue => 'later', p_delay => '1 h')"
                          " FROM generate_series(1, 10)");
        assert_int_equal(test_claim(session, 7, 2, a), 2);
        ret_pages[i] = INT64_MAX;
        for (int k = 0; k < TRIES; k++) {
            int64_t now = pages_undone(session, test_attempt_sql(calls[i].sql, &a[k % 2]));

            if (now < ret_pages[i])
                ret_pages[i] = now;
        }
        test_exec(session, test_complete_sql(&a[0]));
        test_exec(session, test_complete_sql(&a[1]));
    }
}

/* Three slots: what was completed, what failed, what waits. */
static void
fill(PGconn *db, PGconn *session)
{
    for (int i = 0; i < LARGE / 100000; i++) {
        test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{100000}'))");
        if (i < 2)
            test_exec(session, "DO $$ DECLARE c record; BEGIN FOR i IN 1 .. 100 LOOP"
                               " SELECT array_agg(DISTINCT ready_slot) AS s, array_agg(DISTINCT"
                               " claim_id) AS c, int8multirange(int8range(min(pos), max(pos) + 1))"
                               " AS p INTO c FROM awa.claim_jobs(7, 'default', 1000);"
                               " PERFORM awa.complete_jobs(7, c.s, c.c, ARRAY[c.p]); END LOOP; END"
                               " $$");
        test_exec(db, "SELECT awa.summarize_ids(), awa.rotate_ring(true)");
    }
    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'), p_queues =>"
                              " array_fill('later'::text, '{%d}'), p_delays => array_fill('1 h'"
                              "::interval, '{%d}'))",
                              DEFERRED, DEFERRED, DEFERRED));
}

static void
compare(const char *when, const int64_t *small, const int64_t *large)
{
    int worse = 0;

    for (size_t i = 0; i < CALLS; i++)
        if (small[i] > calls[i].pages || large[i] > LEVELS * small[i] + MARGIN) {
            print_error("%s, %s: %" PRId64 " pages on small tables, %" PRId64 " on large ones\n",
                        calls[i].name, when, small[i], large[i]);
            worse++;
        }
    if (worse > 0)
        fail_msg("%d of %d calls read too much", worse, CALLS);
}

static void
a_call_reads_as_little_from_large_tables_as_from_small_ones(void **state)
{
    PGconn *db = *state;
    PGconn *session = test_connect(db, NULL), *fresh = test_connect(db, NULL);
    int64_t small[CALLS], large[CALLS];

    test_exec(session, "SELECT awa.register_worker(7, 'w', '{default}', p_session => false)");
    measure(db, session, small);
    compare("at first", small, small);
    fill(db, session);
    measure(db, session, large); /* with plans that were made while the tables were empty */
    compare("before ANALYZE, with old plans", small, large);
    measure(db, fresh, large);
    compare("before ANALYZE", small, large);
    test_exec(db, "ANALYZE");
    measure(db, session, large);
    compare("after ANALYZE", small, large);

    /* and empty again, while statistics say that they are large */
    test_exec(db, "TRUNCATE awa.ready_entries, awa.ready_tombstones, awa.closures,"
                  " awa.done_entries, awa.deferred_jobs");
    test_exec(db, "DELETE FROM awa.claims WHERE claim_id < (SELECT max(claim_id) FROM awa.claims)");
    measure(db, test_connect(db, NULL), large);
    compare("after TRUNCATE", small, large);
}

/* Two lanes, and in one of them an old transaction that keeps a gap open. */
static void
an_old_gap_does_not_make_a_claim_read_all_that_came_after(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_connect(db, NULL), *late = test_connect(db, "producer");
    int64_t before, after;

    test_lane(db, 1);
    test_lane(db, 2);
    test_exec(worker, "SELECT awa.register_worker(7, 'w', '{default}', p_session => false)");
    test_exec(late, "BEGIN; SET idle_in_transaction_session_timeout = 0");
    test_insert(late);
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d}', p_priorities => '{1,1,2,2}')");
    for (int i = 0; i < 4; i++)
        test_claim_ids(worker, 7, 1);
    before = pages(worker, "awa.claim_jobs(7, 'default', 1)");
    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{50000}'))");
    for (int i = 0; i < 5; i++)
        test_exec(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 10000)");
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d}', p_priorities => '{1,1,2,2}')");
    test_claim_ids(worker, 7, 1);
    after = pages(worker, "awa.claim_jobs(7, 'default', 1)");
    if (after > before + MARGIN)
        fail_msg("a claim reads %" PRId64 " pages, and %" PRId64 " after 50,000 others", before,
                 after);
    test_exec(late, "COMMIT");
}

/* Two claims read as much, with a transaction open that has drawn and with n rollbacks beside it.
 */
static void
gaps_aside_cost_a_claim_nothing(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_connect(db, NULL), *late = test_connect(db, "producer");
    int64_t before, after;

    test_lane(db, 2);
    test_exec(worker, "SELECT awa.register_worker(7, 'w', '{default}', p_session => false)");
    test_exec(late, "BEGIN");
    test_insert(late);
    test_exec(db, "SELECT awa.insert_jobs('{a,b}')");
    for (int i = 0; i < 2; i++)
        test_exec(worker,
                  test_format("SELECT awa.claim_jobs(7, 'default', 1, clock_timestamp() + %d"
                              " * interval '20 ms')",
                              i));
    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{100}'))");
    before = best_pages(worker, "awa.claim_jobs(7, 'default', 1)");
    test_exec(db, test_format("DO $$ BEGIN FOR i IN 1 .. %d LOOP"
                              "  BEGIN PERFORM awa.insert_job('gone'); RAISE 'no';"
                              "  EXCEPTION WHEN raise_exception THEN NULL; END;"
                              "  PERFORM awa.insert_job('stays'); END LOOP; END $$",
                              ROLLBACKS));
    for (int i = 0; i < ROLLBACKS + 150; i += 50) /* 20 ms apart: each looks who owns new gaps */
        test_exec(worker, test_format("SELECT awa.claim_jobs(7, 'default', 50, clock_timestamp() +"
                                      " %d * interval '20 ms')",
                                      i));
    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{10}'))");
    assert_true(test_int(db, "SELECT sum(awa.count_gaps(gaps)) FROM awa.lane_gaps") > 800);
    after = best_pages(worker, "awa.claim_jobs(7, 'default', 1)");
    if (after > before + FEW)
        fail_msg("a claim reads %" PRId64 " pages, and %" PRId64 " beside %d gaps", before, after,
                 ROLLBACKS);
    test_exec(late, "COMMIT");
}

/*
 * Of so many jobs in a slot each third is withdrawn, and most of the others were claimed. What
 * comes next is found by index, and read in one piece however often withdrawn jobs break it.
 */
static void
withdrawn_jobs_do_not_make_a_claim_read_all_that_came_before(void **state)
{
    PGconn *db = *state;
    PGconn *session = test_connect(db, NULL);
    int64_t few, many;

    test_exec(session, "SELECT awa.register_worker(7, 'w', '{default}', p_session => false)");
    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'))", WITHDRAWN));
    test_exec(db, "INSERT INTO awa.ready_tombstones (pos, ready_slot, reason)"
                  " SELECT pos, ready_slot, 'cancelled' FROM awa.ready_entries WHERE pos % 3 = 0");
    test_exec(db, "ANALYZE");
    for (int i = 0; i < WITHDRAWN * 8 / 10; i += 10000)
        test_exec(session, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 10000)");
    few = best_pages(session, "awa.claim_jobs(7, 'default', 100)");
    many = best_pages(session, "awa.claim_jobs(7, 'default', 10000)");
    if (few > 400 || many > 2000)
        fail_msg("a claim of 100 reads %" PRId64 " pages, one of 10,000 %" PRId64, few, many);
}

/* Nobody leads, so the index of ids knows none of these jobs. */
static void
a_drain_finds_jobs_by_their_places(void **state)
{
    PGconn *db = *state;
    int64_t read;

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{20000}'))");
    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{100}'), p_delays =>"
                  " array_fill('1 h'::interval, '{100}'))");
    pages(db, "awa.drain_queue('default', 200)"); /* makes plans */
    read = pages(db, "awa.drain_queue('default', 1000)");
    if (read > 20000)
        fail_msg("to drain 1000 jobs reads %" PRId64 " pages", read);
    assert_int_equal(test_count(db, "cancelled"), 1200);
}

/*
 * A slot is read once, and the index of keys is searched once for each of its jobs that had one. To
 * ask for each key where jobs have ended would read the slot's marks as often.
 */
static void
forgotten_keys_cost_as_much_as_there_are(void **state)
{
    PGconn *db = *state;
    int64_t read;

    test_exec(db,
              test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'), p_unique_keys =>"
                          " ARRAY(SELECT 'key' || i FROM generate_series(1, %d) AS i))",
                          KEYS, KEYS));
    test_exec(db, "INSERT INTO awa.ready_tombstones (pos, ready_slot, reason)"
                  " SELECT pos, ready_slot, 'cancelled' FROM awa.ready_entries");
    pages_undone(db, "awa.forget_keys(0::smallint, 10000)"); /* makes plans */
    read = pages(db, "awa.forget_keys(0::smallint, 10000)");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.unique_keys"), 0);
    if (read > 12 * KEYS)
        fail_msg("to forget %d keys reads %" PRId64 " pages", KEYS, read);
}

/*
 * Jobs that end one by one, each with a closure of its own; then their slot is sealed, and folded
 * when nobody is left on the server who might still add to it. all: so many have ended so far.
 */
static void
make_history(PGconn *db, int jobs, int all)
{
    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'));"
                              "SELECT awa.complete_jobs(7, ARRAY[c.ready_slot], ARRAY[c.claim_id],"
                              " ARRAY[int8multirange(int8range(c.pos, c.pos + 1))])"
                              " FROM awa.claim_jobs(7, 'default', %d) AS c;",
                              jobs, jobs));
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_wait_until(db,
                    test_format("SELECT (SELECT sum(l.completed) = %d"
                                " FROM awa.queue_terminal_live_counts AS l) FROM"
                                " awa.turn_ring(clock_timestamp() + interval '2 min') AS t",
                                all),
                    10000);
}

static void
folded_history_is_not_read_to_be_counted(void **state)
{
    PGconn *db = *state;
    int64_t before, after;

    test_exec(db, "SELECT awa.register_worker(7, 'w', '{default}', p_session => false)");
    make_history(db, 10, 10);
    test_exec(db, "ANALYZE");
    pages(db, "awa.queue_counts()"); /* makes plans */
    before = pages(db, "awa.queue_counts()");
    make_history(db, 5000, 5010);
    test_exec(db, "ANALYZE");
    pages(db, "awa.queue_counts()");
    after = pages(db, "awa.queue_counts()");
    assert_int_equal(test_int(db, "SELECT completed FROM awa.queue_counts()"), 5010);
    assert_true(test_int(db, "SELECT pg_relation_size('awa.closures_1') / 8192") > 2 * FEW);
    if (after > before + FEW)
        fail_msg("%" PRId64 " pages, and %" PRId64 " after 5,000 jobs", before, after);
}

/*
 * Jobs that two workers claimed one by one, each second one of a lane: nowhere do two of them lie
 * side by side. Those of worker 8 have failed; those of worker 7 are late.
 */
static void
scatter(PGconn *db)
{
    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'))", SCATTERED));
    test_exec(db, "INSERT INTO awa.ready_tombstones (pos, ready_slot, reason)"
                  " SELECT pos, ready_slot, 'cancelled' FROM awa.ready_entries WHERE pos % 2 = 1");
    test_exec(db, "INSERT INTO awa.claims (claim_id, worker_id, claimed_at, deadline_at, cursor,"
                  " lane_id, n, ready_slot, positions)"
                  " SELECT nextval('awa.claim_ids'), 7 + pos / 2 % 2, clock_timestamp(),"
                  " clock_timestamp() - interval '1 min', pos, pos >> 44, 1, ready_slot,"
                  " int8multirange(int8range(pos, pos + 1))"
                  " FROM (SELECT * FROM awa.ready_entries WHERE pos % 2 = 0 ORDER BY pos) AS e");
    test_exec(db, "INSERT INTO awa.done_entries (pos, id, finalized_at, ready_slot, attempt, state)"
                  " SELECT pos, id, clock_timestamp(), ready_slot, attempt, 'failed'"
                  " FROM awa.ready_entries WHERE pos % 4 = 2");
    test_exec(db, "INSERT INTO awa.closures (closed_at, lane_id, n, ready_slot, outcome, positions)"
                  " SELECT clock_timestamp(), pos >> 44, 1, ready_slot, 'failed',"
                  " int8multirange(int8range(pos, pos + 1))"
                  " FROM awa.ready_entries WHERE pos % 4 = 2");
    test_exec(db, "VACUUM ANALYZE");
}

/* An operator with two large sets is linear; with one of them for each row, it is the square. */
static void
no_call_costs_the_square_of_how_scattered_its_jobs_are(void **state)
{
    static const struct {
        const char *sql;
        int64_t expected;
    } scattered[] = {
        { "SELECT failed FROM awa.queue_counts()", SCATTERED / 4 },
        { "SELECT count(*) FROM awa.list_jobs('running', p_limit => 1000)", 1000 },
        { "SELECT sum(awa.width(o.positions)) FROM awa.open_positions(7) AS o", SCATTERED / 4 },
        { "SELECT count(*) FROM awa.rotate_ring(true)", 1 },
        { "SELECT count(*) FROM awa.turn_ring()", 1 },
        { "SELECT failed FROM awa.queue_counts()", SCATTERED / 4 },
        { "SELECT awa.carry_forward(0::smallint)", SCATTERED / 2 },
        { "SELECT awa.expire_jobs()", SCATTERED / 4 },
        { "SELECT awa.width(awa.take_back(1::smallint, range_agg(k.positions), 'removed'))"
          " FROM awa.closures AS k WHERE k.ready_slot = 1 AND k.outcome = 'failed'",
          SCATTERED / 4 },
        { "SELECT count(*) FROM awa.turn_ring(clock_timestamp() + interval '2 min')", 1 },
    };
    PGconn *db = *state;
    PGconn *session = test_connect(db, NULL);

    test_exec(db, "SELECT awa.register_worker(7, 'w', '{default}', p_session => false),"
                  " awa.register_worker(8, 'w', '{default}', p_session => false)");
    scatter(db);
    for (size_t i = 0; i < sizeof scattered / sizeof scattered[0]; i++) {
        int64_t began = clock_ms();
        int64_t got = test_int(session, scattered[i].sql);
        int64_t ms = clock_ms() - began;
        if (got != scattered[i].expected || ms > SCATTERED_MS)
            fail_msg("%s: %" PRId64 " after %" PRId64 " ms", scattered[i].sql, got, ms);
    }
}

/* ---- Plans as they are ------------------------------------------------------------------- */

struct plans {
    char *text;
    size_t len;
    FILE *out;
};

static void
take_notice(void *arg, const PGresult *res)
{
    struct plans *plans = arg;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (text != NULL && plans->out != NULL)
        (void)fprintf(plans->out, "%s\n", text);
}

/* The plan of each statement inside the functions, while a parallel one would cost nothing. */
static void
no_plan_goes_parallel_or_scans_a_large_table(void **state)
{
    static const char *const tables[] = { "ready_entries", "ready_tombstones", "claims",
                                          "closures",      "done_entries",     "deferred_jobs" };
    PGconn *db = *state;
    PGconn *session = test_connect(db, NULL);
    struct plans plans = { 0 };
    PGresult *loaded = PQexec(session, "LOAD 'auto_explain'");
    int bad = 0;

    if (PQresultStatus(loaded) != PGRES_COMMAND_OK) {
        PQclear(loaded);
        skip();
    }
    PQclear(loaded);
    PQsetNoticeReceiver(session, take_notice, &plans);
    test_exec(session, "SELECT awa.register_worker(7, 'w', '{default}', p_session => false)");
    fill(db, session);
    test_exec(db, "ANALYZE");
    test_exec(session,
              "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
              " SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0;"
              " SET max_parallel_workers_per_gather = 4");
    test_exec(session, "SET auto_explain.log_min_duration = 0; SET auto_explain.log_level = notice;"
                       " SET auto_explain.log_nested_statements = on;"
                       " SET client_min_messages = notice");
    for (size_t i = 0; i < CALLS; i++) {
        struct attempt a;

        assert_int_equal(test_claim(session, 7, 1, &a), 1);
        plans.out = open_memstream(&plans.text, &plans.len);
        test_exec(session, test_format("SELECT %s", test_attempt_sql(calls[i].sql, &a)));
        auto_file(&plans.out);
        plans.out = NULL;
        assert_true(plans.len > 0);
        if (strstr(plans.text, "Gather") != NULL) {
            print_error("%s goes parallel\n", calls[i].name);
            bad++;
        }
        for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
            if (strstr(plans.text, test_format("Seq Scan on %s", tables[t])) != NULL) {
                print_error("%s scans %s\n", calls[i].name, tables[t]);
                bad++;
            }
        free(plans.text);
    }
    assert_int_equal(bad, 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_call_reads_as_little_from_large_tables_as_from_small_ones),
        TEST_DB(forgotten_keys_cost_as_much_as_there_are),
        TEST_DB(folded_history_is_not_read_to_be_counted),
        TEST_DB(an_old_gap_does_not_make_a_claim_read_all_that_came_after),
        TEST_DB(gaps_aside_cost_a_claim_nothing),
        TEST_DB(withdrawn_jobs_do_not_make_a_claim_read_all_that_came_before),
        TEST_DB(a_drain_finds_jobs_by_their_places),
        TEST_DB(no_call_costs_the_square_of_how_scattered_its_jobs_are),
        TEST_DB(no_plan_goes_parallel_or_scans_a_large_table),
    };

    return TEST_RUN(tests);
}
