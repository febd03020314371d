-- SPDX-License-Identifier: MIT
-- Does this server have a database called $1?
-- returns: exists boolean
SELECT EXISTS (SELECT FROM pg_catalog.pg_database AS d WHERE d.datname = $1::text) AS exists
