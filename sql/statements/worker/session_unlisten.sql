-- Hear of nothing any more.
-- returns: nothing
UNLISTEN *
