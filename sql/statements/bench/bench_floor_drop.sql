-- For awa bench: drop the table of bench_floor_create.
-- returns: nothing
DROP TABLE public.bench_floor
