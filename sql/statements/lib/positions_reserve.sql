-- Reserve ids and positions for groups of jobs to be copied: queues $1, priorities $2, ordering keys $3,
-- counts $4.
-- returns: for each group, in order, the slot, the first id, the first position, the time in
-- microseconds since 2000, as a binary COPY wants it, and the default of max_attempts
SELECT r.ready_slot, r.first_id, r.first_pos, r.now_us, r.max_attempts
  FROM awa.reserve_positions($1::text[], $2::int[], $3::text[], $4::int[]) AS r
