-- Seal lanes whose positions are nearly used up, and move on lanes that were sealed before.
-- returns: how many
SELECT awa.seal_full_lanes()
