-- For awa bench: copy rows into the table of bench_floor_create, in binary form.
COPY public.bench_floor (pos, id, enqueued_at, ready_slot, attempt, max_attempts, kind, args, tags,
                         metadata) FROM STDIN (FORMAT binary)
