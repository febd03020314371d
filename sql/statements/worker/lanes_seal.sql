-- Seal lanes whose positions are nearly used up.
-- returns: how many
SELECT awa.seal_full_lanes()
