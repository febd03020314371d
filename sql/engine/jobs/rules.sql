-- SPDX-License-Identifier: MIT
-- The rules of a job: limits, defaults, and what follows from an outcome.

-- ---- What the caller may give, and what counts if he does not ------------------------------

-- What is wrong with a list of follow-ups, {"on": EVENT, "job": TEMPLATE} each, in words; NULL if nothing
-- is.
CREATE OR REPLACE FUNCTION awa.follow_problem(p_follow jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    v_one jsonb;
    v_n int := 0;
    v_problem text;
BEGIN
    IF jsonb_typeof(p_follow) <> 'array' THEN
        RETURN format('follow: want a list, got %s', jsonb_typeof(p_follow));
    ELSIF jsonb_array_length(p_follow) NOT BETWEEN 1 AND 10 THEN
        RETURN format('follow: want 1 to 10, got %s', jsonb_array_length(p_follow));
    END IF;
    FOR v_one IN SELECT f FROM jsonb_array_elements(p_follow) AS f LOOP
        IF jsonb_typeof(v_one) <> 'object' OR NOT v_one ?& ARRAY['on', 'job']
           OR v_one - ARRAY['on', 'job'] <> '{}' THEN
            v_problem := 'want an object of "on" and "job"';
        ELSE
            v_problem := coalesce(awa.event_problem(v_one ->> 'on'), awa.template_problem(v_one -> 'job'));
        END IF;
        IF v_problem IS NOT NULL THEN
            RETURN format('follow %s: %s', v_n, v_problem);
        END IF;
        v_n := v_n + 1;
    END LOOP;
    RETURN NULL;
END
$$;

-- What is wrong with an event; NULL if nothing is.
CREATE OR REPLACE FUNCTION awa.event_problem(p_event text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_event IN ('completed', 'failed', 'cancelled', 'ended', 'retried', 'rescued') IS NOT TRUE
            THEN format('on: want completed, failed, cancelled, ended, retried or rescued, got %s',
                        left(coalesce(p_event, 'nothing'), 80)) END;

-- What is wrong with the template of a job, in words; NULL if nothing is. A template is an object of what
-- awa.insert_job() takes: kind, args, queue, priority, max_attempts, delay_ms, tags, metadata, unique_key,
-- ordering_key; and of options. In args an object {"$path": PATH} stands for what the path finds in
-- {"job": {...}, "output": ..., "error": ..., "outcome": ...} of the parent; see awa.is_plain_path().
CREATE OR REPLACE FUNCTION awa.template_problem(p_job jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    v_name text;
    v_path jsonb;
BEGIN
    IF jsonb_typeof(p_job) IS DISTINCT FROM 'object' THEN
        RETURN 'job: want an object';
    ELSIF p_job @? 'strict $.**{100}' THEN
        RETURN 'job: want at most 99 levels of JSON in it';
    END IF;
    FOREACH v_name IN ARRAY ARRAY['kind', 'queue', 'unique_key', 'ordering_key'] LOOP
        IF jsonb_typeof(p_job -> v_name) <> 'string' THEN
            RETURN format('%s: want a string', v_name);
        END IF;
    END LOOP;
    FOREACH v_name IN ARRAY ARRAY['priority', 'max_attempts', 'delay_ms'] LOOP
        IF jsonb_typeof(p_job -> v_name) <> 'number'
           OR p_job ->> v_name !~ '^[0-9]{1,9}$' AND (v_name <> 'delay_ms' OR p_job ->> v_name !~ '^[0-9]{1,14}$') THEN
            RETURN format('%s: want a whole number, got %s', v_name, left(p_job ->> v_name, 80));
        END IF;
    END LOOP;
    SELECT o -> '$path' INTO v_path
      FROM jsonb_path_query(p_job -> 'args', 'strict $.** ? (exists(@."$path"))') AS o
     WHERE awa.is_path(o) AND awa.is_plain_path(o -> '$path') IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RETURN format('args: $path: want members and elements, as in $.output.list[0].url, got %s',
                      left(v_path #>> '{}', 80));
    END IF;
    RETURN awa.job_problem(p_job ->> 'kind', p_job ->> 'queue', p_job -> 'args',
                           (p_job ->> 'priority')::int, (p_job ->> 'max_attempts')::int, NULL,
                           awa.template_delay(p_job), p_job -> 'tags', p_job -> 'metadata',
                           p_job ->> 'unique_key', awa.template_options(p_job));
END
$$;

-- Whether a part of args is {"$path": ...} and nothing else.
CREATE OR REPLACE FUNCTION awa.is_path(p_part jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_typeof(p_part) = 'object' AND p_part ? '$path' AND p_part - '$path' = '{}';

-- Whether a path has members and elements of arrays only: $.output.list[0].url, $.job.args."first name". All
-- else that SQL/JSON knows (variables, filters, methods) may raise an error or take long when a job ends.
CREATE OR REPLACE FUNCTION awa.is_plain_path(p_path jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_typeof(p_path) = 'string' AND length(p_path #>> '{}') <= 500
       AND p_path #>> '{}' ~ '^\$(\.[A-Za-z_][A-Za-z0-9_]*|\."[^"\\]+"|\[([0-9]{1,6}|last|\*)\]|\.\*)*$';

CREATE OR REPLACE FUNCTION awa.template_delay(p_job jsonb)
RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (p_job ->> 'delay_ms')::float8 * interval '1 ms';

-- All that a template says besides the fields of a job; NULL: nothing.
CREATE OR REPLACE FUNCTION awa.template_options(p_job jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN nullif(p_job - ARRAY['kind', 'args', 'queue', 'priority', 'max_attempts', 'delay_ms', 'tags',
                            'metadata', 'unique_key', 'ordering_key'], '{}');

-- What is wrong with the options of a job, in words; NULL if nothing is. Each option has its limits here,
-- and in the constraint of awa.ready_entries those that a claim or an end relies on.
-- - max_run_ms: how long an attempt of this job may take, instead of what its queue says.
-- - follow: jobs that are inserted when this one ends; see awa.follow_problem().
CREATE OR REPLACE FUNCTION awa.options_problem(p_options jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_typeof(p_options) <> 'object'
        THEN format('options: want an object, got %s', jsonb_typeof(p_options))
    WHEN octet_length(p_options::text) > 65536
        THEN format('options: want at most 65536 bytes, got %s', octet_length(p_options::text))
    WHEN p_options - ARRAY['max_run_ms', 'follow'] <> '{}'
        THEN format('options: there is no option %s',
                    left((SELECT min(k)
                            FROM jsonb_object_keys(p_options - ARRAY['max_run_ms', 'follow']) AS k), 80))
    WHEN p_options ? 'max_run_ms'
         AND CASE WHEN jsonb_typeof(p_options -> 'max_run_ms') = 'number'
                  THEN (p_options ->> 'max_run_ms')::numeric >= 1
                       AND (p_options ->> 'max_run_ms')::numeric <= 31536000000
                       AND (p_options ->> 'max_run_ms')::numeric % 1 = 0 END IS NOT TRUE
        THEN format('max_run_ms: want a whole number from 1 to 31536000000, got %s',
                    left(p_options ->> 'max_run_ms', 80))
    WHEN p_options ? 'follow' THEN awa.follow_problem(p_options -> 'follow')
    END;

-- When an attempt that begins at p_now has to end: by the job's own options, or else at p_deadline.
CREATE OR REPLACE FUNCTION awa.own_deadline(p_options jsonb, p_now timestamptz, p_deadline timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN p_options -> 'max_run_ms' IS NULL THEN p_deadline
            ELSE p_now + (p_options ->> 'max_run_ms')::numeric * interval '1 ms' END;

-- What is wrong with a job, in words; NULL if nothing is. The limits are defined here and nowhere else.
-- The function is STABLE, because format() is: an IMMUTABLE function would not be inlined, but called for
-- each row.
CREATE OR REPLACE FUNCTION awa.job_problem(p_kind text, p_queue text, p_args jsonb,
        p_priority int, p_max_attempts int, p_run_at timestamptz, p_delay interval, p_tags jsonb,
        p_metadata jsonb, p_unique_key text, p_options jsonb DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN p_kind IS NULL THEN 'kind: missing'
    WHEN octet_length(p_kind) NOT BETWEEN 1 AND 200
        THEN format('kind: want 1 to 200 bytes, got %s', octet_length(p_kind))
    WHEN octet_length(p_queue) NOT BETWEEN 1 AND 200
        THEN format('queue: want 1 to 200 bytes, got %s', octet_length(p_queue))
    WHEN p_priority NOT BETWEEN 1 AND 4
        THEN format('priority: want 1 to 4, got %s', p_priority)
    WHEN p_max_attempts NOT BETWEEN 1 AND 1000
        THEN format('max_attempts: want 1 to 1000, got %s', p_max_attempts)
    WHEN p_run_at IS NOT NULL AND p_delay IS NOT NULL
        THEN 'run_at: excludes delay'
    WHEN p_run_at >= '10000-01-01 00:00:00+00'
        THEN format('run_at: want a time before the year 10000, got %s', p_run_at)
    WHEN p_delay NOT BETWEEN '-1000 years' AND '1000 years'
        THEN format('delay: want at most 1000 years, got %s', p_delay)
    WHEN pg_column_size(p_args) > 512 AND octet_length(p_args::text) > 1048576
        THEN format('args: want at most 1048576 bytes, got %s', octet_length(p_args::text))
    WHEN jsonb_typeof(p_tags) <> 'array' OR p_tags @? 'strict $[*] ? (@.type() != "string")'
        THEN 'tags: want a list of strings'
    WHEN jsonb_array_length(p_tags) > 20
        THEN format('tags: want at most 20, got %s', jsonb_array_length(p_tags))
    WHEN octet_length(p_tags::text) > 8192
        THEN format('tags: want at most 8192 bytes, got %s', octet_length(p_tags::text))
    WHEN jsonb_typeof(p_metadata) <> 'object'
        THEN format('metadata: want an object, got %s', jsonb_typeof(p_metadata))
    WHEN octet_length(p_metadata::text) > 65536
        THEN format('metadata: want at most 65536 bytes, got %s', octet_length(p_metadata::text))
    WHEN octet_length(p_unique_key) NOT BETWEEN 1 AND 200
        THEN format('unique_key: want 1 to 200 bytes, got %s', octet_length(p_unique_key))
    WHEN p_options IS NOT NULL THEN awa.options_problem(p_options)
    END;

-- What a caller leaves out has these defaults. They are defined here and nowhere else.
CREATE OR REPLACE FUNCTION awa.default_queue() RETURNS text
LANGUAGE sql IMMUTABLE RETURN 'default';

CREATE OR REPLACE FUNCTION awa.default_priority() RETURNS int
LANGUAGE sql IMMUTABLE RETURN 2;

CREATE OR REPLACE FUNCTION awa.default_max_attempts() RETURNS int
LANGUAGE sql IMMUTABLE RETURN 25;

-- p_now and a delay. A delay that awa.job_problem() will refuse adds nothing.
CREATE OR REPLACE FUNCTION awa.after(p_now timestamptz, p_delay interval)
RETURNS timestamptz
LANGUAGE sql STABLE STRICT
RETURN CASE WHEN p_delay BETWEEN '-1000 years' AND '1000 years' THEN p_now + p_delay ELSE p_now END;

CREATE OR REPLACE FUNCTION awa.check_dlq_reason(p_reason text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF octet_length(p_reason) BETWEEN 1 AND 200 IS NOT TRUE THEN
        RAISE EXCEPTION 'reason: want 1 to 200 bytes, got %', coalesce(octet_length(p_reason), 0)
              USING ERRCODE = 'JQ001';
    END IF;
END
$$;

-- ---- Outcomes ------------------------------------------------------------------------------

-- How many attempts an outcome uses up: none if the job is snoozed or released.
CREATE OR REPLACE FUNCTION awa.attempts_used(p_outcome awa.outcome)
RETURNS int
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_outcome IN ('snoozed', 'released') THEN 0 ELSE 1 END;

-- The outcome that counts when p_asked is asked for. p_used is the number of attempts that were used up
-- before, as the entry says. A job whose last attempt is retried, rescued or expired fails.
CREATE OR REPLACE FUNCTION awa.decide(p_asked awa.outcome, p_used int, p_max_attempts int)
RETURNS awa.outcome
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN p_asked IN ('retried', 'rescued', 'expired') AND p_used + 1 >= p_max_attempts
            THEN 'failed' ELSE p_asked END;

-- The state in which an outcome leaves a job.
CREATE OR REPLACE FUNCTION awa.state_after(p_outcome awa.outcome, p_run_at timestamptz)
RETURNS text
LANGUAGE sql STABLE
RETURN CASE
    WHEN p_outcome IN ('completed', 'failed', 'cancelled') THEN p_outcome::text
    WHEN p_outcome IS NULL THEN NULL
    WHEN p_run_at IS NULL THEN 'available'
    WHEN awa.attempts_used(p_outcome) = 0 THEN 'scheduled'
    ELSE 'retryable'
    END;

-- How long a job waits after its failed attempt n = p_attempt: 2^n s and at random up to a quarter more,
-- but a day at most.
CREATE OR REPLACE FUNCTION awa.backoff(p_attempt int, p_random float8 DEFAULT random())
RETURNS interval
LANGUAGE sql IMMUTABLE
RETURN least(power(2, least(greatest(p_attempt, 0), 17)) * (1 + p_random / 4), 86400)
       * interval '1 s';

-- Whether an error says something about the row that met it. Such an error comes again whenever the row
-- does, so the row is set aside. Any other error (no room on the disk, no memory, a lock, a deadlock, a
-- session that may not write, a damaged page) says nothing about the row: it fails the whole call, which
-- changes nothing, and the caller tries again later.
CREATE OR REPLACE FUNCTION awa.is_permanent(p_sqlstate text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN left(p_sqlstate, 2) IN (
           '22',  -- data exception: no JSON, no UTF-8, out of range
           '23',  -- a constraint refuses it; a race ends in ON CONFLICT and does not raise this
           '54')  -- it is larger than PostgreSQL can store
       OR p_sqlstate IN (
           'JQ001',  -- ours: the call breaks the contract
           'P0001'); -- RAISE without a code: a trigger or a function says no

-- For how long after its deadline an attempt is left to its worker.
CREATE OR REPLACE FUNCTION awa.deadline_grace()
RETURNS interval
LANGUAGE sql IMMUTABLE
RETURN interval '4 s';

-- ---- Errors --------------------------------------------------------------------------------

-- An error in the form that a job's list of errors has.
CREATE OR REPLACE FUNCTION awa.error_entry(p_attempt int, p_error text, p_outcome awa.outcome,
        p_at timestamptz)
RETURNS jsonb
LANGUAGE sql STABLE
RETURN jsonb_build_object('attempt', p_attempt, 'error', left(coalesce(p_error, ''), 8192),
                          'outcome', p_outcome, 'at', p_at);

-- A job's list of errors with one more, or with a list of more. Keeps the newest 25.
CREATE OR REPLACE FUNCTION awa.append_error(p_errors jsonb, p_error jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN p_error IS NULL THEN p_errors
    WHEN jsonb_typeof(p_errors) <> 'array' THEN jsonb_build_array(p_errors, p_error) -- a COPY wrote p_errors
    WHEN jsonb_typeof(p_error) = 'array' AND jsonb_array_length(p_errors || p_error) > 25
        THEN jsonb_path_query_array(p_errors || p_error, '$[last - 24 to last]')
    WHEN jsonb_array_length(p_errors) >= 25 THEN (p_errors - 0) || p_error
    ELSE coalesce(p_errors, '[]') || p_error
    END;

-- A job's list of errors after an end: what did not follow, and then its error, so that this is the last one.
CREATE OR REPLACE FUNCTION awa.errors_after(p_errors jsonb, p_end awa.closing)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN awa.append_error(awa.append_error(p_errors, (p_end).skipped), (p_end).error);

-- A terminal end of an attempt, or of a job that nobody runs.
CREATE OR REPLACE FUNCTION awa.terminal(p_slot smallint, p_pos bigint, p_outcome awa.outcome, p_id bigint,
        p_attempt int, p_error jsonb DEFAULT NULL, p_output jsonb DEFAULT NULL,
        p_follow jsonb DEFAULT NULL, p_skipped jsonb DEFAULT NULL)
RETURNS awa.closing
LANGUAGE sql IMMUTABLE
RETURN ROW(p_slot, p_pos, p_outcome, p_id, p_attempt, p_error, p_output, NULL, false, p_follow,
           p_skipped)::awa.closing;

-- ---- Settings ------------------------------------------------------------------------------

-- Raise JQ001 unless these times of a queue, or of all, are within their limits; NULL is not set. With
-- larger ones the time of now could not be reckoned back. p_what: what is set, for the message.
CREATE OR REPLACE FUNCTION awa.check_times(p_what text, p_deadline interval,
        p_aging_interval interval, p_completed_retention interval, p_failed_retention interval,
        p_dlq_retention interval)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    v_bad record;
BEGIN
    SELECT t.* INTO v_bad
      FROM (VALUES ('deadline', p_deadline, interval '365 days'),
                   ('aging_interval', p_aging_interval, interval '365 days'),
                   ('completed_retention', p_completed_retention, interval '1000 years'),
                   ('failed_retention', p_failed_retention, interval '1000 years'),
                   ('dlq_retention', p_dlq_retention, interval '1000 years'))
           AS t (name, given, most)
     WHERE t.given NOT BETWEEN interval '0 s' AND t.most
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%: %: want 0 to %, got %', p_what, v_bad.name, v_bad.most, v_bad.given
              USING ERRCODE = 'JQ001';
    END IF;
END
$$;
