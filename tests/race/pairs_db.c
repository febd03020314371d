/* SPDX-License-Identifier: MIT */
/* See pairs_db.h. */
#include "pairs_db.h"

enum { SLOTS = 3 };

/*
 * Rows are deleted, not truncated: a truncate makes every session plan anew. But slots from 2 on
 * must be empty to be opened.
 */
static const char make_clean[] =
    "CREATE FUNCTION test.clean() RETURNS void LANGUAGE plpgsql SET client_min_messages = warning"
    " SET plan_cache_mode = force_generic_plan AS $$\n"
    "DECLARE\n"
    "    v_full text;\n"
    "BEGIN\n"
    "    SELECT string_agg(c.oid::regclass::text, ', ') INTO v_full\n"
    "      FROM unnest(awa.ringed_tables()) AS t\n"
    "     CROSS JOIN generate_series(2, awa.slots() - 1) AS s\n"
    "      JOIN pg_class AS c ON c.oid = format('awa.%I', t || '_' || s)::regclass\n"
    "     WHERE pg_relation_size(c.oid) > 0;\n"
    "    IF v_full IS NOT NULL THEN EXECUTE 'TRUNCATE ' || v_full; END IF;\n"
    "    DELETE FROM awa.ready_entries;\n"
    "    DELETE FROM awa.ready_tombstones;\n"
    "    DELETE FROM awa.claims;\n"
    "    DELETE FROM awa.closures;\n"
    "    DELETE FROM awa.done_entries;\n"
    "    DELETE FROM awa.queue_terminal_count_deltas;\n"
    "    DELETE FROM awa.queue_terminal_live_counts;\n"
    "    DELETE FROM awa.queue_terminal_rollups;\n"
    "    DELETE FROM awa.deferred_jobs;\n"
    "    DELETE FROM awa.dlq_entries;\n"
    "    DELETE FROM awa.lane_gaps;\n"
    "    DELETE FROM awa.workers;\n"
    "    DELETE FROM awa.ring_rotations WHERE generation > 1;\n"
    "    DELETE FROM awa.slot_snapshots;\n"
    "    UPDATE awa.queues SET paused_at = NULL, dlq_enabled = false;\n"
    "    PERFORM setval(awa.numbers(l.lane_id), (l.lane_id::bigint << 44) - l.shift, false)\n"
    "       FROM awa.lanes AS l;\n"
    "    PERFORM setval('awa.worker_numbers', 7, false);\n"
    "END $$;";

/* A job in a state, p_what; its attempt is, or was, one of worker 7. */
static const char make_job[] =
    "CREATE FUNCTION test.job(p_what text, p_max int, OUT id bigint, OUT claim bigint,"
    " OUT pos bigint, OUT slot int) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan"
    " AS $$\n"
    "DECLARE\n"
    "    v record;\n"
    "BEGIN\n"
    "    id := awa.insert_job('k', p_max_attempts => p_max, p_options => '{\"follow\": [{\"on\":"
    " \"ended\", \"job\": {\"kind\": \"next\", \"queue\": \"next\", \"delay_ms\": 86400000}}]}');\n"
    "    SELECT c.* INTO STRICT v FROM awa.claim_jobs(7, 'default', 10) AS c;\n"
    "    claim := v.claim_id; pos := v.pos; slot := v.ready_slot;\n"
    "    PERFORM awa.close_jobs(7, ARRAY[v.ready_slot], ARRAY[claim], ARRAY[pos],\n"
    "                CASE WHEN p_what IN ('waiting', 'cancelled') THEN '{released}'\n"
    "                     WHEN p_what IN ('failed', 'dead') THEN '{failed}'\n"
    "                     WHEN p_what = 'deferred' THEN '{retried}' ELSE '{completed}' "
    "END::text[],\n"
    "                p_delays => CASE p_what WHEN 'deferred' THEN '{1 h}'::interval[] END)\n"
    "      WHERE p_what <> 'running';\n"
    "    PERFORM awa.cancel_job(id) WHERE p_what = 'cancelled';\n"
    "    PERFORM awa.move_to_dlq(id) WHERE p_what = 'dead';\n"
    "END $$;";

/* Slot 0 is sealed and slot 1 is current. Something completed is in slot 0, besides. */
static const char make_begin[] =
    "CREATE FUNCTION test.begin(p_what text, p_how text DEFAULT '', OUT id bigint,"
    " OUT claim bigint, OUT pos bigint, OUT slot int) LANGUAGE plpgsql"
    " SET plan_cache_mode = force_generic_plan AS $$\n"
    "DECLARE\n"
    "    v_sealed boolean := p_how IN ('sealed', 'carried', 'dlq', 'head');\n"
    "BEGIN\n"
    "    PERFORM test.clean();\n"
    "    PERFORM awa.register_worker(7, 'w7', '{default}', p_session => false),\n"
    "            awa.register_worker(8, 'w8', '{default}', p_session => false, p_lease => '1 "
    "year'),\n"
    "            awa.register_worker(9, 'w9', '{default}', p_session => false, p_lease => '1 "
    "year');\n"
    "    PERFORM test.job('completed', 25);\n"
    "    IF v_sealed THEN\n"
    "        SELECT j.* INTO id, claim, pos, slot FROM test.job(p_what, 25) AS j;\n"
    "    END IF;\n"
    "    INSERT INTO awa.ring_rotations (generation, ready_slot) VALUES (2, 1);\n"
    "    PERFORM awa.checkpoint_heads(0::smallint) WHERE p_how <> 'head';\n"
    "    IF NOT v_sealed THEN\n"
    "        SELECT j.* INTO id, claim, pos, slot\n"
    "          FROM test.job(p_what, CASE p_how WHEN 'last' THEN 1 ELSE 25 END) AS j;\n"
    "    END IF;\n"
    "    PERFORM awa.carry_forward(0::smallint) WHERE p_how = 'carried';\n"
    "    UPDATE awa.queues SET dlq_enabled = true WHERE p_how = 'dlq';\n"
    "    DELETE FROM awa.deferred_jobs AS d WHERE d.queue = 'next';\n"
    "END $$;";

/*
 * Afterwards another worker must get what waits, all of it, once, and nothing else; and the next
 * rescue what a worker holds that was given up.
 */
static const char make_finish[] =
    "CREATE FUNCTION test.finish(p_id bigint, p_claim bigint, p_pos bigint, p_slot int)"
    " RETURNS text LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$\n"
    "DECLARE\n"
    "    v_text text;\n"
    "    v_counts record;\n"
    "    v_followed bigint;\n"
    "    v_waiting bigint[];\n"
    "    v_claimed bigint[];\n"
    "    v_trouble text;\n"
    "BEGIN\n"
    "    v_followed := count(*) FROM awa.deferred_jobs AS d WHERE d.queue = 'next';\n"
    "    SELECT r.* INTO v_counts FROM test.recount() AS r;\n"
    "    SELECT format('%s; others: %s waiting, %s running; %s known; %s followed;'\n"
    "               ' slot %s%s%s%s',\n"
    "               coalesce(string_agg(format('%s %s%s%s',\n"
    "                   CASE WHEN j.dlq_at IS NULL THEN j.state::text ELSE 'dead' END, j.attempt,\n"
    "                   CASE WHEN j.run_lease = p_claim AND j.state = 'running'\n"
    "                        THEN format(' by %s as before', j.worker_id)\n"
    "                        WHEN j.worker_id = 7 THEN ' by 7 anew'\n"
    "                        ELSE ' by ' || j.worker_id END,\n"
    "                   ' in ' || CASE WHEN j.ready_slot > 2 THEN 2 ELSE j.ready_slot END),\n"
    "                   ' and ') FILTER (WHERE j.id = p_id), 'gone'),\n"
    "               count(*) FILTER (WHERE j.id > p_id AND j.state = 'available'),\n"
    "               count(*) FILTER (WHERE j.id > p_id AND j.state = 'running'),\n"
    "               v_counts.total - v_followed, v_followed, least(awa.current_slot(), 2),\n"
    "               (SELECT '; 7 ended' FROM awa.workers AS w\n"
    "                 WHERE w.worker_id = 7 AND w.ended_at IS NOT NULL),\n"
    "               (SELECT '; 7 claims no more' FROM awa.workers AS w\n"
    "                 WHERE w.worker_id = 7 AND w.queues = '{}'),\n"
    "               (SELECT '; paused' FROM awa.queues AS q WHERE q.paused_at IS NOT NULL)),\n"
    "           coalesce(array_agg(j.id ORDER BY j.id) FILTER (WHERE j.state = 'available'), "
    "'{}')\n"
    "      INTO v_text, v_waiting\n"
    "      FROM awa.jobs AS j;\n"
    "    v_trouble := v_counts.trouble;\n"
    "    IF v_text NOT LIKE '%as before%'\n"
    "       AND NOT isempty(awa.complete_jobs(7, ARRAY[p_slot]::smallint[], ARRAY[p_claim],\n"
    "                           ARRAY[int8multirange(int8range(p_pos, p_pos + 1))])) THEN\n"
    "        v_trouble := concat(v_trouble, ' a stale answer counts');\n"
    "    END IF;\n"
    "    UPDATE awa.queues SET paused_at = NULL;\n"
    "    v_claimed := ARRAY(SELECT c.id FROM awa.claim_jobs(9, 'default', 100,\n"
    "                           clock_timestamp() + interval '1 min') AS c ORDER BY 1);\n"
    "    IF v_waiting <> v_claimed THEN\n"
    "        v_trouble := concat(v_trouble, format(' waiting: %s, handed out: %s', v_waiting,\n"
    "                                              v_claimed));\n"
    "    END IF;\n"
    "    IF v_text LIKE '% by 7 %; 7 ended%' THEN\n"
    "        PERFORM awa.rescue_jobs();\n"
    "        IF EXISTS (SELECT 1 FROM awa.jobs AS j WHERE j.id = p_id AND j.state = 'running'\n"
    "                      AND j.worker_id = 7) THEN\n"
    "            v_trouble := concat(v_trouble, ' nobody rescues it');\n"
    "        END IF;\n"
    "    END IF;\n"
    "    RETURN concat(v_text, ' !' || v_trouble);\n"
    "END $$;";

void
pairs_prepare(PGconn *db)
{
    test_make_recount(db);
    test_exec(db, test_format("DO $$ DECLARE t text; v_last int := awa.slots() - 1; BEGIN"
                              " FOREACH t IN ARRAY awa.ringed_tables() LOOP"
                              " FOR k IN %d .. v_last LOOP"
                              " EXECUTE format('DROP TABLE awa.%%I', t || '_' || k);"
                              " END LOOP; END LOOP; END $$",
                              SLOTS));
    test_exec(db, make_clean);
    test_exec(db, make_job);
    test_exec(db, make_begin);
    test_exec(db, make_finish);
    test_lane(db, 2);
    test_exec(db, "SELECT awa.pause_queue('default')");
}

struct attempt
pairs_begin(PGconn *db, const char *args)
{
    const char *row = test_rows(db, test_format("SELECT * FROM test.begin(%s)", args));
    long long id, claim, pos;
    int slot;

    if (sscanf(row, "%lld|%lld|%lld|%d", &id, &claim, &pos, &slot) != 4)
        fail_msg("odd row: %s", row);
    return (struct attempt){ .worker = 7, .id = id, .claim = claim, .pos = pos, .slot = slot };
}

const char *
pairs_finish(PGconn *db, const struct attempt *a)
{
    return test_text(db, test_format("SELECT test.finish(%lld, %lld, %lld, %d)", (long long)a->id,
                                     (long long)a->claim, (long long)a->pos, a->slot));
}
