-- Hear of jobs that are due sooner than the leader would look.
-- returns: nothing
LISTEN "awa.lead"
