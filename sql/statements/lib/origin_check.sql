-- SPDX-License-Identifier: MIT
-- Was this database restored or copied since it was mended last?
-- returns: moved boolean
SELECT awa.is_moved() AS moved
