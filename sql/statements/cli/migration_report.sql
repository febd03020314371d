-- SPDX-License-Identifier: MIT
-- What a migration did, for scripts: from version $1 to version $2; whether it replaced the engine $3;
-- what it mended $4, and how each differed $5. With $6 it only looked, and these are the differences that
-- it found.
-- returns: report json
SELECT CASE WHEN $6::boolean
            THEN json_build_object('from', $1::int, 'to', $2::int, 'differences', f.list)
            ELSE json_build_object('from', $1::int, 'to', $2::int, 'applied', $2::int - $1::int,
                                   'engine_applied', $3::boolean, 'mended', f.list) END AS report
  FROM (SELECT coalesce(json_agg(json_build_object('what', u.what, 'detail', u.detail)
                                 ORDER BY u.turn), '[]') AS list
          FROM unnest($4::text[], $5::text[]) WITH ORDINALITY AS u (what, detail, turn)) AS f
