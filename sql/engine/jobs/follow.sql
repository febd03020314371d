-- SPDX-License-Identifier: MIT
-- Follow-ups: jobs that are inserted in the transaction in which another job ends, or is going to run
-- again. docs/engine.md section "Follow-ups". No end fails because of what follows from it.

-- ---- What follows --------------------------------------------------------------------------

-- The events of an outcome, by which follow-ups name it; NULL: nothing can follow.
CREATE OR REPLACE FUNCTION awa.events_of(p_outcome awa.outcome)
RETURNS text[]
LANGUAGE sql STABLE
RETURN CASE p_outcome::text -- as text: where all migrations run at once, some outcomes are too new
    WHEN 'completed' THEN ARRAY['completed', 'ended']
    WHEN 'failed' THEN ARRAY['failed', 'ended']
    WHEN 'dead_lettered' THEN ARRAY['failed', 'ended']
    WHEN 'cancelled' THEN ARRAY['cancelled', 'ended']
    WHEN 'deleted' THEN ARRAY['cancelled', 'ended']
    WHEN 'retried' THEN ARRAY['retried']
    WHEN 'expired' THEN ARRAY['retried']
    WHEN 'rescued' THEN ARRAY['rescued']
    END;

-- The templates of what follows from an outcome: by the job's own options, because its attempt asked for it
-- (p_asked), and by the rules. Becomes part of the caller's statement.
CREATE OR REPLACE FUNCTION awa.templates_of(p_outcome awa.outcome, p_queue text, p_kind text,
        p_options jsonb, p_asked jsonb)
RETURNS TABLE (job jsonb)
LANGUAGE sql STABLE
AS $$
    SELECT f -> 'job'
      FROM jsonb_array_elements(p_options -> 'follow') AS f
     WHERE f ->> 'on' = ANY (awa.events_of(p_outcome))
    UNION ALL
    SELECT a FROM jsonb_array_elements(p_asked) AS a
    UNION ALL
    SELECT r.job
      FROM awa.follow_rules AS r
     WHERE r.event = ANY (awa.events_of(p_outcome))
       AND (r.queue IS NULL OR r.queue = p_queue)
       AND (r.kind IS NULL OR r.kind = p_kind)
$$;

-- Whether a template takes something of its parent. Else the parent's args, which may be large, need not be
-- there.
CREATE OR REPLACE FUNCTION awa.has_paths(p_job jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN strpos(p_job ->> 'args', '"$path"') > 0;

-- What follows from p_rows: the parent, once for each job; NULL: nothing does.
CREATE OR REPLACE FUNCTION awa.parents_of(p_rows awa.closing[])
RETURNS awa.parent[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_rules CONSTANT boolean := EXISTS (SELECT FROM awa.follow_rules);
BEGIN
    RETURN (SELECT array_agg(ROW(r.pos, e.id, e.kind, l.queue, CASE WHEN awa.has_paths(t.job) THEN e.args END,
                                 r.attempt, e.metadata, r.outcome, r.error ->> 'error', r.output,
                                 t.job)::awa.parent ORDER BY r.pos)
              FROM unnest(p_rows) AS r
             CROSS JOIN LATERAL (SELECT e.*
                                   FROM awa.ready_entries AS e
                                  WHERE e.ready_slot = r.ready_slot AND e.pos = r.pos
                                  LIMIT 1) AS e
              JOIN awa.lanes AS l ON l.lane_id = (r.pos >> 44)::int
             CROSS JOIN LATERAL awa.templates_of(r.outcome, l.queue, e.kind, e.options, r.follow) AS t
             WHERE v_rules OR e.options IS NOT NULL OR r.follow IS NOT NULL);
END
$$;

-- The same for positions of one slot and lane that have completed, and have nothing to tell.
CREATE OR REPLACE FUNCTION awa.parents_at(p_slot smallint, p_positions int8multirange)
RETURNS awa.parent[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_rules CONSTANT boolean := awa.rules_for_completed();
    v_queue CONSTANT text := (SELECT l.queue FROM awa.lanes AS l
                               WHERE l.lane_id = (lower(p_positions) >> 44)::int);
BEGIN
    RETURN (SELECT array_agg(ROW(e.pos, e.id, e.kind, v_queue, CASE WHEN awa.has_paths(t.job) THEN e.args END,
                                 e.attempt + 1, e.metadata, 'completed', NULL, NULL, t.job)::awa.parent)
              FROM unnest(p_positions) AS r
             CROSS JOIN LATERAL (
                    SELECT e.*
                      FROM awa.ready_entries AS e
                     WHERE e.ready_slot = p_slot AND e.pos >= lower(r) AND e.pos < upper(r)
                       AND (v_rules OR e.options IS NOT NULL)
                     ORDER BY e.pos) AS e
             CROSS JOIN LATERAL awa.templates_of('completed', v_queue, e.kind, e.options, NULL) AS t);
END
$$;

-- Whether a rule is about jobs that complete.
CREATE OR REPLACE FUNCTION awa.rules_for_completed()
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM awa.follow_rules AS r WHERE r.event IN ('completed', 'ended'));
END
$$;

-- ---- The jobs that follow ------------------------------------------------------------------

-- A template in which each {"$path": PATH} is replaced by what the path finds in p_source; null: nothing.
CREATE OR REPLACE FUNCTION awa.fill_paths(p_template jsonb, p_source jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF jsonb_typeof(p_template) = 'array' THEN
        RETURN (SELECT coalesce(jsonb_agg(awa.fill_paths(e.v, p_source) ORDER BY e.ord), '[]')
                  FROM jsonb_array_elements(p_template) WITH ORDINALITY AS e (v, ord));
    ELSIF jsonb_typeof(p_template) <> 'object' THEN
        RETURN p_template;
    ELSIF awa.is_path(p_template) THEN
        RETURN CASE WHEN awa.is_plain_path(p_template -> '$path')
                    THEN coalesce(jsonb_path_query_first(p_source, (p_template ->> '$path')::jsonpath,
                                                         '{}', true), 'null')
                    ELSE p_template END;
    END IF;
    RETURN (SELECT coalesce(jsonb_object_agg(e.key, awa.fill_paths(e.value, p_source)), '{}')
              FROM jsonb_each(p_template) AS e);
END
$$;

-- The arguments of a job that follows.
CREATE OR REPLACE FUNCTION awa.child_args(p_job jsonb, p_parent awa.parent)
RETURNS jsonb
LANGUAGE sql STABLE
RETURN CASE
    WHEN p_job -> 'args' IS NULL THEN '{}'
    WHEN NOT awa.has_paths(p_job) THEN p_job -> 'args'
    ELSE awa.fill_paths(p_job -> 'args', jsonb_build_object(
             'job', jsonb_build_object('id', (p_parent).id, 'kind', (p_parent).kind,
                                       'queue', (p_parent).queue, 'args', (p_parent).args,
                                       'attempt', (p_parent).attempt, 'metadata', (p_parent).metadata),
             'output', (p_parent).output, 'error', (p_parent).error,
             'outcome', (awa.events_of((p_parent).outcome))[1]))
    END;

-- How many jobs have followed one from the other until a job with this metadata.
CREATE OR REPLACE FUNCTION awa.generation(p_metadata jsonb)
RETURNS int
LANGUAGE sql STABLE
RETURN CASE WHEN p_metadata #>> '{awa:parent,generation}' ~ '^[0-9]{1,4}$'
            THEN (p_metadata #>> '{awa:parent,generation}')::int ELSE 0 END;

-- The metadata of a job that follows: that of its template, who its parent is, and the parent's trace.
CREATE OR REPLACE FUNCTION awa.child_metadata(p_job jsonb, p_parent awa.parent)
RETURNS jsonb
LANGUAGE sql STABLE
RETURN CASE WHEN (p_parent).metadata ? 'traceparent'
            THEN jsonb_build_object('traceparent', (p_parent).metadata -> 'traceparent') ELSE '{}' END
       || coalesce(p_job -> 'metadata', '{}')
       || jsonb_build_object('awa:parent', jsonb_build_object(
              'id', (p_parent).id, 'on', (awa.events_of((p_parent).outcome))[1],
              'generation', awa.generation((p_parent).metadata) + 1));

-- The job that follows from each of p_parents, with its id; or with an error, if it cannot be inserted.
CREATE OR REPLACE FUNCTION awa.children_of(p_parents awa.parent[])
RETURNS awa.new_job[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_now CONSTANT timestamptz := clock_timestamp();
    v_first_id CONSTANT bigint := awa.draw_block('awa.job_ids', cardinality(p_parents));
    v_any_key CONSTANT text := gen_random_uuid(); -- jobs without an ordering key stay in one shard
BEGIN
    RETURN (
        SELECT array_agg(ROW(c.ord, c.id, c.job ->> 'kind', c.args, c.queue, c.priority,
                             awa.shard_of(coalesce(c.job ->> 'ordering_key', v_any_key), q.enqueue_shards),
                             c.max_attempts, v_now + c.delay, awa.json_tags(c.tags), c.metadata,
                             c.unique_key,
                             CASE WHEN awa.generation(c.metadata) > 100
                                  THEN '100 jobs have followed one from the other'
                                  ELSE awa.job_problem(c.kind, c.queue, c.args, c.priority,
                                           c.max_attempts, NULL, c.delay, c.tags, c.metadata,
                                           c.unique_key, c.options) END,
                             NULL, NULL, NULL, NULL, c.options)::awa.new_job ORDER BY c.ord)
          FROM (SELECT row_number() OVER ()::int AS ord, v_first_id + row_number() OVER () - 1 AS id,
                       p.job, awa.child_args(p.job, p) AS args, p.job ->> 'kind' AS kind,
                       coalesce(p.job ->> 'queue', awa.default_queue()) AS queue,
                       coalesce((p.job ->> 'priority')::int, awa.default_priority()) AS priority,
                       coalesce((p.job ->> 'max_attempts')::int, awa.default_max_attempts())
                       AS max_attempts,
                       awa.template_delay(p.job) AS delay, p.job -> 'tags' AS tags,
                       awa.child_metadata(p.job, p) AS metadata,
                       p.job ->> 'unique_key' AS unique_key, awa.template_options(p.job) AS options
                  FROM unnest(p_parents) AS p
                OFFSET 0) AS c -- OFFSET: make each part once
          LEFT JOIN awa.queues AS q ON q.queue = c.queue);
END
$$;

-- Insert jobs as awa.add_jobs() does, but wait no more than a moment for a transaction that is taking the
-- same unique key.
CREATE OR REPLACE FUNCTION awa.add_children(p_jobs awa.new_job[])
RETURNS awa.new_job[]
LANGUAGE plpgsql
SET lock_timeout = '10ms'
AS $$
BEGIN
    RETURN awa.add_jobs(p_jobs);
END
$$;

-- Insert what follows from p_parents. Returns why some did not follow: the position of the parent, and an
-- error for its history.
CREATE OR REPLACE FUNCTION awa.follow(p_parents awa.parent[])
RETURNS TABLE (pos bigint, skipped jsonb)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_busy boolean;
    v_parent awa.parent;
BEGIN
    BEGIN
        RETURN QUERY SELECT s.* FROM awa.follow_at_once(p_parents) AS s;
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        v_busy := SQLSTATE IN ('55P03', '40P01');
        IF NOT v_busy AND NOT awa.is_permanent(SQLSTATE) THEN
            RAISE;
        END IF;
    END;
    FOREACH v_parent IN ARRAY p_parents LOOP
        BEGIN
            IF v_busy AND v_parent.job ? 'unique_key' THEN
                PERFORM awa.leave_undecided(v_parent);
            ELSE
                RETURN QUERY SELECT s.* FROM awa.follow_at_once(ARRAY[v_parent]) AS s;
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                PERFORM awa.leave_undecided(v_parent);
            WHEN OTHERS THEN
                IF NOT awa.is_permanent(SQLSTATE) THEN
                    RAISE;
                END IF;
                RETURN QUERY SELECT v_parent.pos, awa.skip_entry(v_parent, SQLERRM);
        END;
    END LOOP;
END
$$;

-- Do the work of awa.follow(), all of it or nothing.
CREATE OR REPLACE FUNCTION awa.follow_at_once(p_parents awa.parent[])
RETURNS TABLE (pos bigint, skipped jsonb)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_jobs CONSTANT awa.new_job[] := awa.add_children(awa.children_of(p_parents));
BEGIN
    RETURN QUERY
        SELECT p_parents[j.ord].pos,
               awa.skip_entry(p_parents[j.ord],
                              coalesce(j.error, format('a live job holds the unique key %s', j.unique_key)))
          FROM unnest(v_jobs) AS j
         WHERE j.id IS NULL OR j.error IS NOT NULL
         ORDER BY j.ord;
END
$$;

-- Leave the job that follows from a parent to the leader, see awa.decide_jobs().
CREATE OR REPLACE FUNCTION awa.leave_undecided(p_parent awa.parent)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.undecided_jobs (job_id, job)
    SELECT j.id, to_jsonb(j) FROM unnest(awa.children_of(ARRAY[p_parent])) AS j;
    PERFORM awa.wake_leader(clock_timestamp());
END
$$;

-- That a job did not follow, in the form that a job's list of errors has.
CREATE OR REPLACE FUNCTION awa.skip_entry(p_parent awa.parent, p_problem text)
RETURNS jsonb
LANGUAGE sql STABLE
RETURN jsonb_build_object('attempt', (p_parent).attempt, 'outcome', 'skipped', 'at', clock_timestamp(),
                          'error', left(format('follow-up %s: %s', (p_parent).job ->> 'kind', p_problem),
                                        8192));

-- ---- For the ends of jobs ------------------------------------------------------------------

-- Insert what follows from ends that this transaction has just written. Returns the rows; a row of which
-- something did not follow says so in `skipped`.
CREATE OR REPLACE FUNCTION awa.follow_rows(p_rows awa.closing[])
RETURNS awa.closing[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_rows awa.closing[] := p_rows;
    v_parents CONSTANT awa.parent[] := awa.parents_of(p_rows);
    v_skip record;
BEGIN
    IF v_parents IS NULL THEN
        RETURN v_rows;
    END IF;
    FOR v_skip IN SELECT f.pos, jsonb_agg(f.skipped) AS skipped
                    FROM awa.follow(v_parents) AS f GROUP BY f.pos LOOP
        FOR i IN 1 .. cardinality(v_rows) LOOP
            IF v_rows[i].pos = v_skip.pos THEN
                v_rows[i].skipped := v_skip.skipped;
            END IF;
        END LOOP;
    END LOOP;
    RETURN v_rows;
END
$$;

-- Insert what follows because an operator ends or deletes a job.
CREATE OR REPLACE FUNCTION awa.follow_job(p_job awa.jobs, p_outcome awa.outcome)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_parents CONSTANT awa.parent[] := ARRAY(
        SELECT ROW(0, (p_job).id, (p_job).kind, (p_job).queue, (p_job).args, (p_job).attempt,
                   (p_job).metadata, p_outcome, NULL, NULL, t.job)::awa.parent
          FROM awa.templates_of(p_outcome, (p_job).queue, (p_job).kind, (p_job).options, NULL) AS t);
BEGIN
    IF v_parents <> '{}' THEN
        PERFORM awa.follow(v_parents);
    END IF;
END
$$;
