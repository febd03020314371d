-- Write the heads of lanes that lie in slot $1 once more, into the current slot.
-- returns: how many heads are left, because their lanes are busy
SELECT awa.checkpoint_heads($1::smallint)
