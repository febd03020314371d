-- For awa bench: drop that table.
-- returns: nothing
DROP TABLE public.bench_floor
