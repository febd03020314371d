-- SPDX-License-Identifier: MIT
-- Which open transactions may still read what is in a slot. TRUNCATE takes rows away from every
-- snapshot, however old: a dump that had begun before would be without a job that waited when it began.
CREATE TABLE awa.slot_snapshots (
    generation bigint PRIMARY KEY, -- of the slot
    opened text[] NOT NULL,        -- whoever had a snapshot as the slot was opened sees nothing in it
    settled text[],                -- and whoever had one as the last living thing left it, may see
                                   -- that there; NULL: it has not left
    held text[],                   -- who had a lock on its tables when the leader came last
    held_before text[]);           -- and the time before
