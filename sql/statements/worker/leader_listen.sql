-- Listen for jobs that are due before the leader would look.
-- returns: nothing
LISTEN "awa.lead"
