-- Which schema does this database have?
-- returns: version int
SELECT awa.schema_version() AS version
