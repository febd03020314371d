-- Rotate the ring if that is due; which slot should be emptied?
-- returns: opened, to_prune smallint, each NULL for none
SELECT t.opened, t.to_prune FROM awa.turn_ring() AS t
