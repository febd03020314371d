-- For awa bench: seal the current slot, whatever its size.
-- returns: opened smallint, NULL if there was no empty slot to open
SELECT awa.rotate_ring(true) AS opened
