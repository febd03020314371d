-- SPDX-License-Identifier: MIT
-- Go on as role $1, or as the login itself with 'none', until the transaction ends.
-- returns: role text
SELECT set_config('role', $1::text, true) AS role
