-- Checkpoint the lane heads that lie in slot $1.
-- returns: how many are left, in busy lanes
SELECT awa.checkpoint_heads($1::smallint)
