-- SPDX-License-Identifier: MIT
-- One difference in the form of those that are found in tables: what differs, $1, and how, $2.
-- returns: what text, detail text
SELECT $1::text AS what, $2::text AS detail
