-- SPDX-License-Identifier: MIT
-- JSON texts and arrays that come from outside.

-- Convert a JSON text from outside to jsonb. If that fails, value is NULL and problem says why. Postgres
-- refuses NUL characters, lone surrogates and nesting that is too deep.
CREATE OR REPLACE FUNCTION awa.read_json(p_text text, OUT value jsonb, OUT problem text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    value := p_text::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    problem := left(SQLERRM, 150);
END
$$;

-- Convert JSON texts to jsonb. If one of them is bad, each text is converted by itself: list[i] or
-- problems[i] is then NULL. If none is bad, problems is NULL.
CREATE OR REPLACE FUNCTION awa.read_jsons(p_texts text[], OUT list jsonb[], OUT problems text[])
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    list := p_texts::jsonb[];
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    SELECT array_agg(j.value ORDER BY u.ord), array_agg(j.problem ORDER BY u.ord)
      INTO list, problems
      FROM unnest(p_texts) WITH ORDINALITY AS u (t, ord)
     CROSS JOIN LATERAL awa.read_json(u.t) AS j;
END
$$;

-- Convert the JSON text of a job's field p_name. Raises JQ001, naming the field.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.need_json(p_name text, p_text text)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    v_read record;
BEGIN
    IF p_text IS NULL THEN
        RETURN NULL;
    END IF;
    v_read := awa.read_json(p_text);
    IF v_read.problem IS NOT NULL THEN
        RAISE EXCEPTION '%: %', p_name, v_read.problem USING ERRCODE = 'JQ001';
    END IF;
    RETURN v_read.value;
END
$$;

-- A JSON list of strings as an array. NULL if p_tags is NULL, an empty list or no list.
CREATE OR REPLACE FUNCTION awa.json_tags(p_tags jsonb)
RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(p_tags) = 'array'
            THEN (SELECT array_agg(t ORDER BY ord)
                    FROM jsonb_array_elements_text(p_tags) WITH ORDINALITY AS e (t, ord)) END;

-- The output of a handler as jsonb. No output may keep a finished job from ending:
-- - JSON is kept as it is;
-- - other text is kept whole, as {"stdout": text}; so is JSON that is longer than 1 MiB when it is
--   written out;
-- - of a text that is itself longer than 1 MiB only the end is kept, and the object also has "cut": true.
CREATE OR REPLACE FUNCTION awa.read_output(p_output text)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
DECLARE
    v_max CONSTANT int := 1048576;
    v_json jsonb;
BEGIN
    IF octet_length(p_output) > v_max THEN -- a character has up to 4 bytes
        RETURN jsonb_build_object('stdout', right(p_output, v_max / 4), 'cut', true);
    END IF;
    v_json := (awa.read_json(p_output)).value;
    IF v_json IS NULL OR octet_length(v_json::text) > v_max THEN
        RETURN jsonb_build_object('stdout', p_output);
    END IF;
    RETURN v_json;
END
$$;

-- The n-th elements of several arrays belong together, so all arrays have the same length. Raises JQ001
-- unless p_array has p_length elements in one dimension. NULL passes.
CREATE OR REPLACE FUNCTION awa.check_length(p_name text, p_array anyarray, p_length int)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF cardinality(p_array) <> p_length OR array_ndims(p_array) > 1 THEN
        RAISE EXCEPTION '%: want % elements in one dimension, got %',
              p_name, p_length, cardinality(p_array) USING ERRCODE = 'JQ001';
    END IF;
END
$$;
