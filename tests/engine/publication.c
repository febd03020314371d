/* SPDX-License-Identifier: MIT */
/*
 * In a publication FOR ALL TABLES, as tools for change data capture make it, PostgreSQL refuses an
 * UPDATE or DELETE of a table without a replica identity, whatever rows it has.
 */
#include "test_jobs.h"

#include <inttypes.h>

/* The maintenance, as a leader does it; and each verb. */
static const char *const maintenance[] = {
    "SELECT awa.lead(7)",
    "SELECT setval('awa.leader_until', 0)",
    "SELECT awa.lead(8)",
    "SELECT awa.promote_jobs(p_now => clock_timestamp() + '2 h')",
    "SELECT awa.expire_jobs(p_now => clock_timestamp() + '1 h')",
    "SELECT awa.sweep_gaps(clock_timestamp() + '1 h')",
    "SELECT awa.seal_full_lanes()",
    "UPDATE awa.settings SET slot_age = '1 ms'",
    "SELECT awa.turn_ring(clock_timestamp() + '2 h')",
    "SELECT awa.checkpoint_heads(s::smallint) FROM generate_series(0, 15) AS s"
    " WHERE s <> awa.current_slot()",
    "SELECT awa.carry_forward(s::smallint) FROM generate_series(0, 15) AS s"
    " WHERE s <> awa.current_slot()",
    "SELECT awa.prune_slot(s::smallint, clock_timestamp() + '90 d')"
    " FROM generate_series(0, 15) AS s",
    "SELECT awa.turn_ring(clock_timestamp() + '4 h')",
    "SELECT awa.summarize_ids()",
    "SELECT awa.note_maintenance('ring_turn', 'once'), awa.note_maintenance('ring_turn')",
    "SELECT awa.heartbeat('{7}')",
    "SELECT awa.clear_beats()",
    "SELECT awa.reconcile_worker(7, '{}')",
    "SELECT awa.deregister_worker(7)",
    "SELECT awa.rescue_jobs(clock_timestamp() + '2 h')",
    "SELECT awa.rescue_jobs(clock_timestamp() + '4 h')",
};

static const char *const verbs[] = {
    "SELECT awa.set_queue('q0', p_enqueue_shards => 2, p_dlq_enabled => true)",
    "SELECT awa.set_queue('q0', p_reset => true)",
    "SELECT awa.pause_queue('q0')",
    "SELECT awa.resume_queue('q0')",
    ("SELECT awa.insert_jobs('{a,b,c,d}', p_queues => '{q0,q0,q0,q0}', p_unique_keys =>"
     " '{u,v,NULL,NULL}')"),
    "SELECT awa.insert_job('a', p_delay => '1 h', p_unique_key => 'w')",
    "SELECT awa.cancel_job(awa.newest_id())",
    "SELECT awa.retry_job(awa.newest_id())",
    "SELECT awa.cancel_job(awa.newest_id())",
    "SELECT awa.insert_job('a', p_unique_key => 'w')", /* takes the key over */
    "SELECT awa.insert_job('a', p_delay => '1 h')",
    "SELECT awa.retry_job(awa.newest_id())",
    "SELECT awa.drain_queue('q0')",
    "SELECT awa.retry_failed(p_all => true, p_limit => 1)",
    "SELECT awa.move_failed_to_dlq(p_all => true)",
    "SELECT awa.retry_dlq_jobs(p_all => true, p_limit => 1)",
    "SELECT awa.retry_dlq(id) FROM awa.list_dlq() LIMIT 1",
    "SELECT awa.purge_dlq(p_all => true)",
    "SELECT awa.discard_failed(p_all => true)",
    "DELETE FROM awa.jobs",
    "SELECT awa.rebuild_terminal_counters()",
    "SELECT awa.reset_storage(current_database())",
};

static void
a_publication_of_all_tables_stops_nothing(void **state)
{
    PGconn *db = *state;

    test_exec(db, "SET client_min_messages = error; CREATE PUBLICATION everything FOR ALL TABLES");
    test_shake(db, 3, 200);
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    test_end(db, "q0", 2, "failed");
    test_end(db, "q0", 1, "retried");
    for (size_t i = 0; i < sizeof maintenance / sizeof maintenance[0]; i++)
        test_rows(db, maintenance[i]);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        test_exec(db, verbs[i]);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_publication_of_all_tables_stops_nothing),
    };

    return TEST_RUN(tests);
}
