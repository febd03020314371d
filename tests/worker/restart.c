/* SPDX-License-Identifier: MIT */
/* The server restarts under a worker. In a cluster of our own, because others need theirs. */
#include "test_worker.h"

#include <inttypes.h>
#include <string.h>

#include "cli/cluster.h"
#include "test_cluster.h"

/* ---- The cluster ------------------------------------------------------------------------- */

static struct cluster *cluster;

static int
remove_cluster(void **state)
{
    int failed = test_worker_teardown(state);
    awa_error err;

    if (cluster != NULL && cluster_remove(cluster, &err) != AWA_OK) {
        print_error("%s\n", err.message);
        failed = -1;
    }
    cluster = cluster_free(cluster);
    return failed;
}

static void
start(void)
{
    bool started;
    awa_error err;

    test_ok(cluster_start(cluster, &started, &err), &err);
}

static void
stop(void)
{
    bool stopped;
    awa_error err;

    test_ok(cluster_stop(cluster, &stopped, &err), &err);
}

static PGconn *
reconnect(void)
{
    PGconn *conn = NULL;
    awa_error err;

    test_ok(awa_connect(cluster_dsn(cluster), &conn, &err), &err);
    return conn;
}

/* What the test itself asks; there is no session that outlives the server. */
static int64_t
ask(const char *sql)
{
    AUTO(pgconn) PGconn *conn = reconnect();

    return test_int(conn, sql);
}

static void
wait_for(const char *sql)
{
    AUTO(pgconn) PGconn *conn = reconnect();

    test_wait_until(conn, sql, 30000);
}

/* Migrated. Nobody is given up for dead, however long the restart takes. */
static void
make_cluster(void)
{
    char dir[TEST_CLUSTER_DIR_MAX];
    AUTO(pgconn) PGconn *conn = NULL;
    awa_error err;

    test_cluster_dir("-restart", dir);
    test_ok(cluster_new(dir, true, &cluster, &err), &err);
    start();
    conn = reconnect();
    test_ok(awa_migrate(conn, &err), &err);
    test_exec(conn, "UPDATE awa.settings SET worker_grace = '1 h', worker_lease = '1 h'");
}

/*
 * Claims from before a restart may have been forgotten, and a sequence may have stepped back: a new
 * number claims from now on, and what ran under the old one still ends under the old one.
 */
static void
a_worker_registers_anew_when_the_server_has_restarted(void **state)
{
    struct hold *hold = test_hold_new();
    struct runs *runs = test_runs_new();
    const awa_kind kinds[] = { { "held", test_hold, hold }, { "k", test_run_counted, runs } };
    awa_worker *w;
    int64_t number;

    (void)state;
    make_cluster();
    assert_int_equal(ask("SELECT awa.insert_job('held')"), 1);
    w = test_start(NULL, .conninfo = cluster_dsn(cluster), .kinds = kinds, .nkinds = 2,
                   .threads = 2);
    test_wait_for(atomic_load(&hold->inside) == 1, 10000);
    number = ask("SELECT worker_id FROM awa.workers WHERE ended_at IS NULL");
    stop();
    test_wait_for(test_log_count("connect:") > 0, 10000);
    start();
    wait_for(test_format("SELECT count(*) = 1 FROM awa.workers WHERE ended_at IS NULL AND"
                         " worker_id <> %" PRId64,
                         number));
    assert_int_equal(ask("SELECT awa.insert_job('k')"), 2);
    wait_for("SELECT state = 'completed' FROM awa.jobs WHERE id = 2");
    assert_int_equal(
        ask(test_format("SELECT count(*) FROM awa.claims WHERE worker_id = %" PRId64, number)), 1);
    assert_int_equal(
        ask(test_format("SELECT count(*) FROM awa.claims WHERE worker_id <> %" PRId64 " AND n > 0",
                        number)),
        1);

    /* the old number is kept alive for what it runs, whose end still counts */
    assert_int_equal(atomic_load(&hold->cancelled), 0);
    test_hold_open(hold);
    wait_for("SELECT state = 'completed' AND attempt = 1 FROM awa.jobs WHERE id = 1");
    test_wait_for(test_stats(w).completed == 2, 10000);
    assert_int_equal(atomic_load(&hold->entered), 1);
    wait_for(test_format("SELECT ended_at IS NOT NULL FROM awa.workers WHERE worker_id = %" PRId64,
                         number));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_worker_registers_anew_when_the_server_has_restarted,
                                        test_db_setup, remove_cluster),
    };

    return TEST_RUN(tests);
}
