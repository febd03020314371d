-- Is the whole queue well?
-- returns: check, ok as yes or NO, detail
SELECT h.name AS "check", CASE WHEN h.ok THEN 'yes' ELSE 'NO' END AS ok, h.detail
  FROM awa.health() AS h
