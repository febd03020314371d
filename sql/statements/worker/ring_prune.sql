-- Truncate slot $1 if nothing in it is of use any more.
-- returns: 'pruned', or why not
SELECT awa.prune_slot($1::smallint)
