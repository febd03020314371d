-- SPDX-License-Identifier: MIT
-- What a migration did, for scripts: from version $1 to version $2, engine replaced or not $3.
-- returns: report json
SELECT json_build_object('from', $1::int, 'to', $2::int, 'applied', $2::int - $1::int,
                         'engine_applied', $3::boolean) AS report
