-- Numbers about the storage.
-- returns: item, value
SELECT s.item, s.value FROM awa.storage_status() AS s
