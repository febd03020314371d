-- Stop listening.
-- returns: nothing
UNLISTEN *
