-- SPDX-License-Identifier: MIT
-- Numbers and checks about the whole queue.

-- Numbers about the storage, as name and value.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.storage_status()
RETURNS TABLE (item text, value text)
LANGUAGE sql STABLE
AS $$
    SELECT 'current slot', awa.current_slot()::text
    UNION ALL
    SELECT 'generation', max(r.generation)::text FROM awa.ring_rotations AS r
    UNION ALL
    SELECT 'slots', format('%s, %s empty', count(*), count(*) FILTER (WHERE r.bytes = 0))
      FROM awa.ring_slots() AS r
    UNION ALL
    SELECT 'ring', pg_size_pretty(sum(r.bytes)) FROM awa.ring_slots() AS r
    UNION ALL
    SELECT 'deferred jobs', CASE WHEN c.reltuples < 0 THEN 'not counted yet'
                                 ELSE 'about ' || c.reltuples::bigint END
      FROM pg_class AS c WHERE c.oid = 'awa.deferred_jobs'::regclass
    UNION ALL
    SELECT 'lanes', count(*)::text FROM awa.lanes
    UNION ALL
    SELECT 'gaps moved aside', coalesce(sum(awa.count_gaps(g.gaps)), 0)::text
      FROM awa.lane_gaps AS g
    UNION ALL
    SELECT 'terminal counters',
           coalesce('trusted since ' || date_trunc('second', s.terminal_counters_trusted_at),
                    'not trusted: run awa storage rebuild-terminal-counters')
      FROM awa.settings AS s
    UNION ALL
    SELECT 'terminal jobs', coalesce(sum(c.completed + c.failed + c.cancelled), 0)::text
      FROM (SELECT coalesce(t.completed, 0) AS completed, coalesce(t.failed, 0) AS failed,
                   coalesce(t.cancelled, 0) AS cancelled
              FROM awa.counted_terminal() AS t) AS c
    UNION ALL
    SELECT 'folded jobs', coalesce(sum(f.completed + f.failed + f.cancelled), 0)::text
      FROM awa.queue_terminal_live_counts AS f
    UNION ALL
    SELECT 'folded slots', count(DISTINCT f.ready_slot)::text
      FROM awa.queue_terminal_live_counts AS f
    UNION ALL
    SELECT 'pruned jobs', format('%s completed, %s failed, %s cancelled',
                                 coalesce(sum(r.completed), 0), coalesce(sum(r.failed), 0),
                                 coalesce(sum(r.cancelled), 0))
      FROM awa.queue_terminal_rollups AS r
    UNION ALL
    SELECT 'dead letters', count(*)::text FROM awa.dlq_entries
    UNION ALL
    SELECT 'live workers', count(*)::text FROM awa.workers AS w WHERE w.ended_at IS NULL
    UNION ALL
    SELECT 'leader', coalesce((SELECT format('%s, term %s', coalesce(w.name, l.worker_id::text),
                                             l.term)
                                 FROM awa.leaders AS l
                                 LEFT JOIN awa.workers AS w ON w.worker_id = l.worker_id
                                ORDER BY l.term DESC LIMIT 1), 'none yet')
    UNION ALL
    SELECT 'oldest snapshot', coalesce((SELECT date_trunc('seconds', clock_timestamp()
                                                          - min(a.xact_start))::text || ' ago'
                                          FROM pg_stat_activity AS a
                                         WHERE a.backend_xmin IS NOT NULL
                                           AND a.pid <> pg_backend_pid()), 'none')
$$;

-- Checks of the whole queue: whether each is well, and what it found.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.health()
RETURNS TABLE (name text, ok boolean, detail text)
LANGUAGE sql STABLE
AS $$
    SELECT 'workers', count(*) > 0, format('%s alive', count(*))
      FROM awa.seen_workers AS w, awa.settings AS s
     WHERE w.ended_at IS NULL
       AND w.last_seen_at > clock_timestamp() - coalesce(w.lease, s.worker_lease)
    UNION ALL
    SELECT 'leader', coalesce(u.until > awa.to_ms(clock_timestamp()), false),
           CASE WHEN u.until > awa.to_ms(clock_timestamp()) THEN 'in office'
                ELSE 'none: scheduled jobs, rescue and pruning stand still' END
      FROM (SELECT pg_sequence_last_value('awa.leader_until'::regclass) AS until) AS u
    UNION ALL
    -- A task that fails once and then succeeds is well; see awa.note_maintenance().
    SELECT 'maintenance', count(*) = 0,
           coalesce(string_agg(format('%s has failed since %s: %s', t.task,
                                      date_trunc('second', t.failing_since), t.error),
                               '; ' ORDER BY t.failing_since, t.task), 'every task succeeds')
      FROM awa.maintenance_tasks AS t
     WHERE awa.is_failing(t, clock_timestamp())
       AND t.failing_since <= clock_timestamp() - interval '10 s'
    UNION ALL
    SELECT 'deferred jobs', count(*) = 0, format('%s overdue by more than 10 s', count(*))
      FROM (SELECT 1 FROM awa.deferred_jobs AS d
             WHERE d.run_at < clock_timestamp() - interval '10 s' LIMIT 1000) AS d
    UNION ALL
    -- When entries that must be kept fill the ring, no slot is empty for a while. That is well.
    SELECT 'ring', r.empty > 0 OR r.current < 2 * awa.slot_limit(),
           format('%s of %s slots are empty, the current one has %s', r.empty, awa.slots(),
                  pg_size_pretty(r.current))
      FROM (SELECT count(*) FILTER (WHERE r.bytes = 0) AS empty,
                   max(r.bytes) FILTER (WHERE r.ready_slot = awa.current_slot()) AS current
              FROM awa.ring_slots() AS r) AS r
$$;

-- The version of the schema, for every caller that has to know whether it fits.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.schema_version()
RETURNS int
LANGUAGE sql STABLE
AS $$
    SELECT max(m.version) FROM awa.schema_migrations AS m
$$;
