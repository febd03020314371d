-- SPDX-License-Identifier: MIT
-- Become role $1, or the login itself with 'none', until the transaction ends.
-- returns: role text
SELECT set_config('role', $1::text, true) AS role
