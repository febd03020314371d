-- Why does job $1 not run, or where is it now? The most telling finding first.
-- returns: finding, since timestamptz, hint; no row if the job is not known
SELECT e.finding, e.since, e.hint FROM awa.explain_job($1::bigint) AS e
