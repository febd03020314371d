-- SPDX-License-Identifier: MIT
-- How many bytes each carry has added to the current slot: awa.slot_limit() lets it take in as much
-- of what is new, and awa.rotate_ring() forgets them as it opens the next one. Appended, not added
-- up in ring_rotations, whose newest row is read by every insert.
CREATE TABLE awa.ring_carries (
    bytes bigint NOT NULL);
