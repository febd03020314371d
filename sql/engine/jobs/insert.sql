-- SPDX-License-Identifier: MIT
-- Three ways into the queue, with the same rules: one job, arrays of jobs, and positions for a COPY by
-- the client.

-- Insert jobs that passed the checks: those of a later time as deferred jobs, the others as entries.
-- Returns them with their ids. A duplicate of a unique key gets the id NULL. A job with an error is
-- passed over.
CREATE OR REPLACE FUNCTION awa.add_jobs(p_jobs awa.new_job[])
RETURNS awa.new_job[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_later awa.new_job[];
    v_ready awa.new_job[];
    v_key text;
    i int;
BEGIN
    -- Take keys in ascending order: two batches with the same keys do not wait for each other in a
    -- circle. The second job of a batch with the same key is a duplicate of the first.
    FOR i IN SELECT j.ord
               FROM unnest(p_jobs) AS j
              WHERE j.unique_key IS NOT NULL AND j.error IS NULL
              ORDER BY j.unique_key, j.ord
    LOOP
        IF p_jobs[i].unique_key = v_key
           OR NOT awa.take_unique_key(p_jobs[i].unique_key, p_jobs[i].id) THEN
            p_jobs[i].id := NULL;
        END IF;
        v_key := p_jobs[i].unique_key;
    END LOOP;

    SELECT array_agg(j ORDER BY j.ord) FILTER (WHERE j.run_at > v_now),
           array_agg(j ORDER BY j.ord) FILTER (WHERE (j.run_at > v_now) IS NOT TRUE)
      INTO v_later, v_ready
      FROM unnest(p_jobs) AS j
     WHERE j.id IS NOT NULL AND j.error IS NULL;
    IF v_later IS NOT NULL THEN
        PERFORM awa.add_deferred(v_later, 'scheduled');
    END IF;
    IF v_ready IS NOT NULL THEN
        PERFORM awa.add_entries(v_ready);
    END IF;
    RETURN p_jobs;
END
$$;

-- The jobs of awa.insert_jobs(), read and checked; each has an id, and an error if it has one.
CREATE OR REPLACE FUNCTION awa.new_jobs(p_kinds text[], p_args text[], p_queues text[],
        p_priorities int[], p_max_attempts int[], p_run_ats timestamptz[], p_delays interval[],
        p_tags text[], p_metadata text[], p_unique_keys text[], p_ordering_keys text[],
        p_options text[])
RETURNS awa.new_job[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_any_key text := gen_random_uuid(); -- jobs without an ordering key stay in one shard
    v_first_id bigint;
    v_args record;
    v_metadata record;
    v_tags record;
    v_options record;
BEGIN
    v_first_id := awa.draw_block('awa.job_ids', greatest(cardinality(p_kinds), 1));
    SELECT * INTO v_args FROM awa.read_jsons(p_args);
    SELECT * INTO v_metadata FROM awa.read_jsons(p_metadata);
    SELECT * INTO v_tags FROM awa.read_jsons(p_tags);
    SELECT * INTO v_options FROM awa.read_jsons(p_options);
    RETURN (SELECT array_agg(ROW(j.ord, j.id, j.kind, j.args, j.queue, j.priority, j.shard,
                         j.max_attempts, j.run_at, awa.json_tags(j.tags), j.metadata, j.unique_key,
                         coalesce(j.problem, awa.job_problem(j.kind, j.queue, j.args, j.priority,
                                  j.max_attempts, j.given_at, j.delay, j.tags, j.metadata,
                                  j.unique_key, j.options)),
                         NULL, NULL, NULL, NULL, j.options)::awa.new_job ORDER BY j.ord)
      FROM (SELECT u.ord, u.id, u.kind, coalesce(u.args, '{}') AS args,
                   coalesce(u.queue, awa.default_queue()) AS queue,
                   coalesce(u.priority, awa.default_priority()) AS priority,
                   awa.shard_of(coalesce(u.ordering_key, v_any_key), q.enqueue_shards) AS shard,
                   coalesce(u.max_attempts, awa.default_max_attempts()) AS max_attempts,
                   coalesce(u.run_at, awa.after(v_now, u.delay)) AS run_at,
                   u.run_at AS given_at, u.delay, u.tags, u.metadata, u.unique_key,
                   nullif(u.options, '{}') AS options,
                   coalesce('args: ' || u.args_problem, 'tags: ' || u.tags_problem,
                            'metadata: ' || u.metadata_problem,
                            'options: ' || u.options_problem) AS problem
              FROM (SELECT n.*, v_first_id + n.ord - 1 AS id
                      FROM unnest(p_kinds, v_args.list, v_args.problems, p_queues, p_priorities,
                                  p_max_attempts, p_run_ats, p_delays, v_tags.list,
                                  v_tags.problems, v_metadata.list, v_metadata.problems,
                                  p_unique_keys, p_ordering_keys, v_options.list,
                                  v_options.problems)
                           WITH ORDINALITY AS n (kind, args, args_problem, queue, priority,
                                 max_attempts, run_at, delay, tags, tags_problem, metadata,
                                 metadata_problem, unique_key, ordering_key, options,
                                 options_problem, ord)) AS u
              LEFT JOIN LATERAL (
                    SELECT q.enqueue_shards
                      FROM awa.queues AS q
                     WHERE q.queue = coalesce(u.queue, awa.default_queue())) AS q ON true) AS j);
END
$$;

-- Insert p_kinds[i] with p_args[i] (JSON text) and so on. An array or an element that is NULL means the
-- default. A job waits until p_run_ats[i], or for p_delays[i] from now on. p_tags[i] is a JSON list of
-- strings, because the number of tags differs.
-- Locks: the unique keys of the jobs; and briefly, at the first use of a lane, that of the lane. Wakes
-- waiting workers at commit.
-- Returns one row for each job, in order: its id; or NULL for a duplicate of a unique key; or NULL and
-- the error. With p_strict the first bad job raises JQ001 instead.
-- Door: kept.
CREATE OR REPLACE FUNCTION awa.insert_jobs(
        p_kinds text[],
        p_args text[] DEFAULT NULL,
        p_queues text[] DEFAULT NULL,
        p_priorities int[] DEFAULT NULL,
        p_max_attempts int[] DEFAULT NULL,
        p_run_ats timestamptz[] DEFAULT NULL,
        p_delays interval[] DEFAULT NULL,
        p_tags text[] DEFAULT NULL,
        p_metadata text[] DEFAULT NULL,
        p_unique_keys text[] DEFAULT NULL,
        p_ordering_keys text[] DEFAULT NULL,
        p_strict boolean DEFAULT true,
        p_options text[] DEFAULT NULL)
RETURNS TABLE (ord int, id bigint, error text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_n int := coalesce(cardinality(p_kinds), 0);
    v_jobs awa.new_job[];
    v_bad record;
BEGIN
    IF v_n > 100000 THEN
        RAISE EXCEPTION 'jobs: want at most 100000 in one call, got %', v_n
              USING ERRCODE = 'JQ001';
    END IF;
    PERFORM awa.check_length('args', p_args, v_n), awa.check_length('queues', p_queues, v_n),
            awa.check_length('priorities', p_priorities, v_n),
            awa.check_length('max_attempts', p_max_attempts, v_n),
            awa.check_length('run_ats', p_run_ats, v_n),
            awa.check_length('delays', p_delays, v_n), awa.check_length('tags', p_tags, v_n),
            awa.check_length('metadata', p_metadata, v_n),
            awa.check_length('unique_keys', p_unique_keys, v_n),
            awa.check_length('ordering_keys', p_ordering_keys, v_n),
            awa.check_length('options', p_options, v_n);

    v_jobs := awa.new_jobs(p_kinds, p_args, p_queues, p_priorities, p_max_attempts, p_run_ats, p_delays,
            p_tags, p_metadata, p_unique_keys, p_ordering_keys, p_options);
    SELECT j.ord, j.error INTO v_bad
      FROM unnest(v_jobs) AS j WHERE j.error IS NOT NULL ORDER BY j.ord LIMIT 1;
    IF FOUND AND p_strict THEN
        RAISE EXCEPTION 'job %: %', v_bad.ord - 1, v_bad.error USING ERRCODE = 'JQ001';
    END IF;
    RETURN QUERY
        SELECT j.ord, CASE WHEN j.error IS NULL THEN j.id END, j.error
          FROM unnest(awa.add_jobs(v_jobs)) AS j;
END
$$;

-- Insert one job. NULL means the default. Returns its id, or NULL if a live job holds the unique key.
-- Raises JQ001, naming the field and the limit.
-- Door: kept.
CREATE OR REPLACE FUNCTION awa.insert_job(
        p_kind text,
        p_args jsonb DEFAULT NULL,
        p_queue text DEFAULT NULL,
        p_priority int DEFAULT NULL,
        p_max_attempts int DEFAULT NULL,
        p_run_at timestamptz DEFAULT NULL,
        p_delay interval DEFAULT NULL,
        p_tags text[] DEFAULT NULL,
        p_metadata jsonb DEFAULT NULL,
        p_unique_key text DEFAULT NULL,
        p_ordering_key text DEFAULT NULL,
        p_options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_job awa.new_job;
BEGIN
    v_job.ord := 1;
    v_job.id := awa.draw_one('awa.job_ids');
    v_job.kind := p_kind;
    v_job.args := coalesce(p_args, '{}');
    v_job.queue := coalesce(p_queue, awa.default_queue());
    v_job.priority := coalesce(p_priority, awa.default_priority());
    v_job.max_attempts := coalesce(p_max_attempts, awa.default_max_attempts());
    v_job.run_at := coalesce(p_run_at, awa.after(clock_timestamp(), p_delay));
    v_job.tags := p_tags;
    v_job.metadata := p_metadata;
    v_job.unique_key := p_unique_key;
    v_job.options := nullif(p_options, '{}');
    v_job.error := awa.job_problem(v_job.kind, v_job.queue, v_job.args, v_job.priority,
            v_job.max_attempts, p_run_at, p_delay, to_jsonb(p_tags), v_job.metadata,
            v_job.unique_key, v_job.options);
    IF v_job.error IS NOT NULL THEN
        RAISE EXCEPTION '%', v_job.error USING ERRCODE = 'JQ001';
    END IF;
    v_job.enqueue_shard := awa.shard_of(p_ordering_key,
            (SELECT q.enqueue_shards FROM awa.queues AS q WHERE q.queue = v_job.queue));
    v_job := (awa.add_jobs(ARRAY[v_job]))[1];
    RETURN v_job.id;
END
$$;

-- Reserve ids and positions for p_counts[i] jobs of (queue, priority, ordering key). The client then
-- COPYs these jobs into awa.ready_entries, in this same transaction. Checks what COPY does not: the name
-- of the queue, the priority and the count. Wakes waiting workers at commit.
-- Returns one row for each group: the slot to name, the first of its consecutive ids and of its
-- consecutive positions, the time as a binary COPY writes it (microseconds since 2000), and the default
-- of max_attempts.
-- Door: kept.
CREATE OR REPLACE FUNCTION awa.reserve_positions(p_queues text[], p_priorities int[],
        p_ordering_keys text[], p_counts int[])
RETURNS TABLE (ord int, ready_slot smallint, first_id bigint, first_pos bigint, now_us bigint,
               max_attempts int)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_group record;
    v_lane awa.lanes;
    v_shards int;
    v_problem text;
BEGIN
    FOR v_group IN
        SELECT u.ord::int AS ord, coalesce(u.queue, awa.default_queue()) AS queue,
               coalesce(u.priority, awa.default_priority()) AS priority, u.key, u.n
          FROM unnest(p_queues, p_priorities, p_ordering_keys, p_counts)
               WITH ORDINALITY AS u (queue, priority, key, n, ord)
    LOOP
        v_problem := awa.job_problem('-', v_group.queue, '{}', v_group.priority, 1, NULL, NULL,
                                     NULL, NULL, NULL);
        IF v_problem IS NULL AND v_group.n BETWEEN 1 AND 100000 IS NOT TRUE THEN
            v_problem := format('count: want 1 to 100000, got %s', v_group.n);
        END IF;
        IF v_problem IS NOT NULL THEN
            RAISE EXCEPTION '%', v_problem USING ERRCODE = 'JQ001';
        END IF;
        -- A statement of its own, so that the call of shard_of() below is inlined.
        SELECT q.enqueue_shards INTO v_shards FROM awa.queues AS q WHERE q.queue = v_group.queue;
        v_lane := awa.open_lane(v_group.queue, v_group.priority,
                                awa.shard_of(v_group.key, v_shards));
        ord := v_group.ord;
        first_id := awa.draw_block('awa.job_ids', v_group.n);
        first_pos := awa.draw_positions(v_lane, v_group.n);
        ready_slot := awa.current_slot();
        now_us := extract(epoch FROM clock_timestamp() - timestamptz '2000-01-01 00:00:00+00')
                  * 1000000;
        max_attempts := awa.default_max_attempts();
        RETURN NEXT;
        PERFORM awa.wake_queue(v_group.queue);
    END LOOP;
END
$$;
