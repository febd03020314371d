-- SPDX-License-Identifier: MIT
-- Standing rules: when a job of this queue and kind ends so, that job follows.

-- Make or change a rule. p_on is completed, failed, cancelled, ended, retried or rescued; p_job is a
-- template, see awa.template_problem(). It counts for jobs of p_queue and p_kind (NULL: any) that end from
-- now on. Raises JQ001, naming the field.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.set_follow_rule(p_name text, p_on text, p_job jsonb,
        p_queue text DEFAULT NULL, p_kind text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_problem CONSTANT text := CASE
        WHEN octet_length(p_name) BETWEEN 1 AND 200 IS NOT TRUE
            THEN format('name: want 1 to 200 bytes, got %s', coalesce(octet_length(p_name), 0))
        WHEN octet_length(p_kind) NOT BETWEEN 1 AND 200
            THEN format('kind: want 1 to 200 bytes, got %s', octet_length(p_kind))
        WHEN octet_length(p_queue) NOT BETWEEN 1 AND 200
            THEN format('queue: want 1 to 200 bytes, got %s', octet_length(p_queue))
        ELSE coalesce(awa.event_problem(p_on), awa.template_problem(p_job)) END;
BEGIN
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION '%', v_problem USING ERRCODE = 'JQ001';
    END IF;
    IF (SELECT count(*) FROM awa.follow_rules AS r WHERE r.name <> p_name) >= 1000 THEN
        RAISE EXCEPTION 'rules: want at most 1000' USING ERRCODE = 'JQ001';
    END IF;
    INSERT INTO awa.follow_rules AS r (name, event, queue, kind, job)
    VALUES (p_name, p_on, p_queue, p_kind, p_job)
        ON CONFLICT (name) DO UPDATE
       SET event = p_on, queue = p_queue, kind = p_kind, job = p_job, created_at = clock_timestamp(),
           created_by = session_user;
END
$$;

-- Remove a rule. Returns whether there was one.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.remove_follow_rule(p_name text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM awa.follow_rules AS r WHERE r.name = p_name;
    RETURN FOUND;
END
$$;

-- The rules, by name.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.list_follow_rules()
RETURNS TABLE (name text, "on" text, queue text, kind text, job jsonb, created_at timestamptz,
               created_by text)
LANGUAGE sql STABLE
AS $$
    SELECT r.name, r.event, r.queue, r.kind, r.job, r.created_at, r.created_by
      FROM awa.follow_rules AS r
     ORDER BY r.name
$$;
