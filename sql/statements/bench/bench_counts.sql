-- For awa bench: what the statistics say about this database and about the children of the ringed tables;
-- how often a slot of the ring was opened; and how large all slots are.
-- returns: commits bigint; inserts, updates, deletes, dead numeric; rotations bigint; bytes numeric
SELECT d.xact_commit AS commits, r.inserts, r.updates, r.deletes, r.dead,
       (SELECT max(o.generation) FROM awa.ring_rotations AS o) AS rotations,
       (SELECT sum(s.bytes) FROM awa.ring_slots() AS s) AS bytes
  FROM pg_catalog.pg_stat_database AS d
 CROSS JOIN (SELECT sum(t.n_tup_ins) AS inserts, sum(t.n_tup_upd) AS updates,
                    sum(t.n_tup_del) AS deletes, sum(t.n_dead_tup) AS dead
               FROM unnest(awa.ringed_tables()) AS u (parent)
               JOIN pg_catalog.pg_inherits AS i
                 ON i.inhparent = format('awa.%I', u.parent)::regclass
               JOIN pg_catalog.pg_stat_all_tables AS t
                 ON t.relid = i.inhrelid) AS r
 WHERE d.datname = current_database()
