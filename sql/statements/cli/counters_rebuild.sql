-- Compare the terminal counters with the history. Unless $1, correct and trust them.
-- returns: for each queue, how many terminal jobs were counted, how many were found, and by how much the
-- counts of its states are corrected, or would be
SELECT r.queue, r.counted, r.found, r.corrected
  FROM awa.rebuild_terminal_counters($1::boolean) AS r
