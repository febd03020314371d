-- SPDX-License-Identifier: MIT
-- Compare what does not travel with the tables of a dump with these tables, and mend it unless $1.
-- returns: what text, detail text; a row for each difference
SELECT m.what, m.detail FROM awa.mend($1::boolean) AS m
