-- For awa bench: a table with the columns of awa.ready_entries and one unique index.
-- returns: nothing
CREATE TABLE public.bench_floor (LIKE awa.ready_entries, UNIQUE (pos))
  WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off)
