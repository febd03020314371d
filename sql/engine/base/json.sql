-- SPDX-License-Identifier: MIT
-- What comes from outside as JSON text or as arrays.

-- JSON text from outside as jsonb, or NULL and what is wrong with it. NUL characters, lone
-- surrogates and too deep nesting are refused by Postgres.
CREATE OR REPLACE FUNCTION awa.read_json(p_text text, OUT value jsonb, OUT problem text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    value := p_text::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    problem := left(SQLERRM, 150);
END
$$;

-- JSON texts, each by itself when one of them is bad.
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

-- JSON text that is the field p_name of a job. Raises JQ001, naming the field.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.need_json(p_name text, p_text text)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    v_read record := awa.read_json(p_text);
BEGIN
    IF v_read.problem IS NOT NULL THEN
        RAISE EXCEPTION '%: %', p_name, v_read.problem USING ERRCODE = 'JQ001';
    END IF;
    RETURN v_read.value;
END
$$;

-- A JSON list of strings as an array; NULL for NULL and for the empty list.
CREATE OR REPLACE FUNCTION awa.json_tags(p_tags jsonb)
RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(p_tags) = 'array'
            THEN (SELECT array_agg(t ORDER BY ord)
                    FROM jsonb_array_elements_text(p_tags) WITH ORDINALITY AS e (t, ord)) END;

-- The output of a handler. It never costs a finished job its end: JSON is kept as it is, any other
-- text whole, as {"stdout": text}; so is JSON that would be longer than 1 MiB when written out. Of a
-- text that is longer than that itself only the end is kept, and "cut" says so.
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

-- The n-th elements of several arrays make a job, so each array is as long as the first.
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
