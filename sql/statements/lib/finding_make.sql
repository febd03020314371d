-- SPDX-License-Identifier: MIT
-- One thing that differs, in the form of those that are found in tables: $1, and in which way, $2.
-- returns: what text, detail text
SELECT $1::text AS what, $2::text AS detail
