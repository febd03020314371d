-- SPDX-License-Identifier: MIT
-- What a search found in a lane: runs, each of a slot, positions in it, and their number, in the
-- order of their positions. They were islands before, one for each unbroken range.
ALTER TYPE awa.lane_search DROP ATTRIBUTE islands;
ALTER TYPE awa.lane_search ADD ATTRIBUTE runs int8multirange[];
ALTER TYPE awa.lane_search ADD ATTRIBUTE run_lengths bigint[];
