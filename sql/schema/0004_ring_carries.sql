-- SPDX-License-Identifier: MIT
-- How many bytes each carry has added to the current generation: awa.rotate_ring() lets its slot
-- take in as much of what is new before the next one is opened, and forgets them then. Appended, as
-- all is that the leader writes often: the newest row of ring_rotations is read by every insert.
CREATE TABLE awa.ring_carries (
    generation bigint NOT NULL,
    bytes bigint NOT NULL);
