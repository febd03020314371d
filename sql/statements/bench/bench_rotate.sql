-- For awa bench: seal the current slot, whatever its size.
-- returns: opened smallint, NULL if there is no empty one
SELECT awa.rotate_ring(true) AS opened
