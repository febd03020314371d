-- SPDX-License-Identifier: MIT
-- Who may do what. Everything is owned by awa_owner, whom nobody logs in as; the other roles
-- execute the functions named here, each SECURITY DEFINER with a pinned search_path, and the
-- viewer reads views. No role has rights on a table, but for the COPY of awa_bulk_producer.

-- What an older version gave, too.
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

DO $$
DECLARE
    v_grants CONSTANT jsonb := '{
        "awa_producer, awa_bulk_producer, awa_operator": [
            "insert_job", "insert_jobs", "from_ms", "ms_interval", "to_int", "need_json"],
        "awa_bulk_producer": ["reserve_positions"],
        "awa_worker": [
            "register_worker", "heartbeat", "ready_queues", "reconcile_worker", "deregister_worker",
            "server_number", "mark_hungry", "listen", "claim_jobs", "complete_jobs", "close_jobs",
            "complete_job", "lead", "promote_jobs", "rescue_jobs", "any_to_rescue", "expire_jobs",
            "sweep_gaps", "turn_ring", "checkpoint_heads", "carry_forward", "prune_slot",
            "summarize_ids", "seal_full_lanes", "note_maintenance", "deadline_grace", "to_ms", "from_ms"],
        "awa_operator": [
            "cancel_job", "retry_job", "pause_queue", "resume_queue", "drain_queue", "set_queue",
            "remove_queue", "set_defaults",
            "retry_failed", "discard_failed", "delete_job_compat", "move_to_dlq",
            "move_failed_to_dlq", "retry_dlq", "retry_dlq_jobs", "purge_dlq",
            "rebuild_terminal_counters", "reset_storage", "sweep_gaps"],
        "awa_viewer, awa_operator": [
            "get_job", "list_jobs", "explain_job", "get_defaults", "dump_job", "queue_counts",
            "queue_counts_fast", "list_dlq", "dlq_depth", "storage_status", "health", "to_ms"],
        "awa_producer, awa_bulk_producer, awa_worker, awa_operator, awa_viewer": [
            "schema_version"]}';
    v_roles text;
    v_function text;
BEGIN
    FOR v_roles, v_function IN
        SELECT g.key, f FROM jsonb_each(v_grants) AS g, jsonb_array_elements_text(g.value) AS f
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION awa.%I TO %s', v_function, v_roles);
    END LOOP;
END
$$;

GRANT INSERT ON awa.ready_entries TO awa_bulk_producer;
GRANT INSERT (kind, args, queue, priority, max_attempts, run_at, tags, metadata, unique_key)
   ON awa.jobs TO awa_producer, awa_bulk_producer, awa_operator;
GRANT DELETE ON awa.jobs TO awa_operator;
GRANT SELECT ON awa.jobs, awa.queue_list, awa.worker_list TO awa_viewer, awa_operator;
