-- Cancel the live job that holds the unique key $1, for reason $2 (NULL: none given).
-- returns: id bigint, NULL if there is none
SELECT awa.cancel_job_by_key($1::text, $2::text) AS id
