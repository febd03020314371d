-- What came of job $1, for people and scripts.
-- returns: output text, NULL if there is none; what a program printed that is no JSON, as it was; state
-- text; error text, the last one if the job has not completed
SELECT CASE WHEN j.output ? 'stdout' AND j.output - ARRAY['stdout', 'cut'] = '{}'
            THEN j.output ->> 'stdout' ELSE j.output::text END AS output,
       j.state,
       CASE WHEN j.state <> 'completed' THEN j.errors -> -1 ->> 'error' END AS error
  FROM awa.get_job($1::bigint) AS j
