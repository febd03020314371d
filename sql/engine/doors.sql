-- SPDX-License-Identifier: MIT
-- The doors: which functions others may call, which roles, and with which settings they run. awa_owner
-- owns everything, and nobody logs in as it. A door runs as its owner (SECURITY DEFINER) with a pinned
-- search_path. awa_viewer also reads views. No role has rights on a table, except for the COPY of
-- awa_bulk_producer.

-- Take back all rights, those that an older version gave included.
REVOKE ALL ON SCHEMA awa
  FROM PUBLIC, awa_producer, awa_bulk_producer, awa_worker, awa_operator, awa_viewer;
REVOKE ALL ON ALL ROUTINES IN SCHEMA awa
  FROM PUBLIC, awa_producer, awa_bulk_producer, awa_worker, awa_operator, awa_viewer;
REVOKE ALL ON ALL TABLES IN SCHEMA awa
  FROM PUBLIC, awa_producer, awa_bulk_producer, awa_worker, awa_operator, awa_viewer;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA awa
  FROM PUBLIC, awa_producer, awa_bulk_producer, awa_worker, awa_operator, awa_viewer;
ALTER DEFAULT PRIVILEGES FOR ROLE awa_owner IN SCHEMA awa REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA awa
   TO awa_producer, awa_bulk_producer, awa_worker, awa_operator, awa_viewer;

-- The profile of a door says with which settings of the planner it runs, and all that it calls:
-- - plain: without JIT and parallel workers, like all doors;
-- - index: also with indexes instead of sequential scans;
-- - kept: also with plans that are kept instead of made anew for each call;
-- - lookup: both;
-- - hot: both, and with index scans that stop early instead of bitmap scans;
-- - inlined: a small function that becomes part of its caller's statement; it has no settings and runs as
--   its caller.
-- What a single function needs besides (a lock_timeout, say) stands beside its body.
DO $$
DECLARE
    v_door record;
    v_everywhere CONSTANT text := 'SET search_path = pg_catalog, pg_temp SET jit = off'
                                  ' SET max_parallel_workers_per_gather = 0';
    v_profiles CONSTANT jsonb := '{
        "plain": "",
        "index": "SET enable_seqscan = off",
        "kept": "SET plan_cache_mode = force_generic_plan",
        "lookup": "SET enable_seqscan = off SET plan_cache_mode = force_generic_plan",
        "hot": "SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan"}';
    v_roles CONSTANT jsonb := '{
        "producers": "awa_producer, awa_bulk_producer, awa_operator",
        "bulk_producer": "awa_bulk_producer",
        "worker": "awa_worker",
        "operator": "awa_operator",
        "readers": "awa_viewer, awa_operator",
        "all": "awa_producer, awa_bulk_producer, awa_worker, awa_operator, awa_viewer"}';
BEGIN
    FOR v_door IN SELECT * FROM (VALUES
        -- Producers.
        ('insert_job', 'kept', 'producers'),
        ('insert_jobs', 'kept', 'producers'),
        ('need_json', 'plain', 'producers'),
        ('from_ms', 'inlined', 'producers, worker'),
        ('ms_interval', 'inlined', 'producers'),
        ('to_int', 'inlined', 'producers'),
        ('reserve_positions', 'kept', 'bulk_producer'),
        -- Workers.
        ('register_worker', 'plain', 'worker'),
        ('heartbeat', 'lookup', 'worker'),
        ('ready_queues', 'hot', 'worker'),
        ('reconcile_worker', 'hot', 'worker'),
        ('deregister_worker', 'plain', 'worker'),
        ('server_number', 'inlined', 'worker'),
        ('mark_hungry', 'plain', 'worker'),
        ('listen', 'plain', 'worker'),
        ('claim_jobs', 'hot', 'worker'),
        ('complete_jobs', 'hot', 'worker'),
        ('close_jobs', 'hot', 'worker'),
        ('complete_job', 'hot', 'worker'),
        -- The leader, who is a worker.
        ('lead', 'lookup', 'worker'),
        ('promote_jobs', 'hot', 'worker'),
        ('rescue_jobs', 'hot', 'worker'),
        ('any_to_rescue', 'plain', 'worker'),
        ('expire_jobs', 'hot', 'worker'),
        ('sweep_gaps', 'hot', 'worker, operator'),
        ('decide_jobs', 'kept', 'worker'),
        ('turn_ring', 'hot', 'worker'),
        ('checkpoint_heads', 'hot', 'worker'),
        ('carry_forward', 'hot', 'worker'),
        ('prune_slot', 'hot', 'worker'),
        ('summarize_ids', 'plain', 'worker'),
        ('seal_full_lanes', 'index', 'worker'),
        ('note_maintenance', 'plain', 'worker'),
        ('deadline_grace', 'inlined', 'worker'),
        -- Operators.
        ('cancel_job', 'lookup', 'operator'),
        ('cancel_job_by_key', 'lookup', 'operator'),
        ('retry_job', 'lookup', 'operator'),
        ('delete_job_compat', 'lookup', 'operator'),
        ('retry_failed', 'index', 'operator'),
        ('discard_failed', 'index', 'operator'),
        ('move_to_dlq', 'lookup', 'operator'),
        ('move_failed_to_dlq', 'index', 'operator'),
        ('retry_dlq', 'index', 'operator'),
        ('retry_dlq_jobs', 'index', 'operator'),
        ('purge_dlq', 'index', 'operator'),
        ('pause_queue', 'plain', 'operator'),
        ('resume_queue', 'plain', 'operator'),
        ('drain_queue', 'plain', 'operator'),
        ('set_queue', 'plain', 'operator'),
        ('remove_queue', 'plain', 'operator'),
        ('set_defaults', 'plain', 'operator'),
        ('set_follow_rule', 'plain', 'operator'),
        ('remove_follow_rule', 'plain', 'operator'),
        ('rebuild_terminal_counters', 'plain', 'operator'),
        ('reset_storage', 'plain', 'operator'),
        -- Readers.
        ('get_job', 'lookup', 'readers'),
        ('list_jobs', 'lookup', 'readers'),
        ('need_state', 'plain', 'readers'),
        ('job_json', 'inlined', 'readers'),
        ('explain_job', 'index', 'readers'),
        ('dump_job', 'lookup', 'readers'),
        ('queue_counts', 'kept', 'readers'),
        ('queue_counts_fast', 'lookup', 'readers'),
        ('list_dlq', 'index', 'readers'),
        ('dlq_depth', 'plain', 'readers'),
        ('get_defaults', 'plain', 'readers'),
        ('list_follow_rules', 'plain', 'readers'),
        ('storage_status', 'plain', 'readers'),
        ('health', 'plain', 'readers'),
        ('to_ms', 'inlined', 'readers, worker'),
        ('schema_version', 'plain', 'all'),
        -- Triggers of awa.jobs; and a part of turn_ring() that tests call by itself.
        ('before_jobs_delete', 'plain', NULL),
        ('on_job_delete', 'plain', NULL),
        ('on_job_insert', 'plain', NULL),
        ('rotate_ring', 'plain', NULL)
        ) AS d (name, profile, who)
    LOOP
        IF v_door.profile <> 'inlined' THEN
            EXECUTE format('ALTER FUNCTION awa.%I SECURITY DEFINER %s %s', v_door.name, v_everywhere,
                           v_profiles ->> v_door.profile);
        END IF;
        IF v_door.who IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION awa.%I TO %s', v_door.name,
                           (SELECT string_agg(v_roles ->> w, ', ')
                              FROM unnest(string_to_array(v_door.who, ', ')) AS w));
        END IF;
    END LOOP;
END
$$;

GRANT INSERT ON awa.ready_entries TO awa_bulk_producer;
GRANT INSERT (kind, args, queue, priority, max_attempts, run_at, tags, metadata, unique_key)
   ON awa.jobs TO awa_producer, awa_bulk_producer, awa_operator;
GRANT DELETE ON awa.jobs TO awa_operator;
GRANT SELECT ON awa.jobs, awa.queue_list, awa.worker_list TO awa_viewer, awa_operator;
