-- Follow-ups that wait for a unique key.
SELECT awa.decide_jobs()
