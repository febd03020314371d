-- The ring's turn: rotate the ring if that is due. Which slot should be emptied?
-- returns: opened, to_prune smallint; NULL for none
SELECT t.opened, t.to_prune FROM awa.turn_ring() AS t
