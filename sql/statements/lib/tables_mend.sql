-- SPDX-License-Identifier: MIT
-- Compare with the tables what does not travel with them, and mend it unless $1.
-- returns: what text, detail text; a row for each difference
SELECT m.what, m.detail FROM awa.mend($1::boolean) AS m
