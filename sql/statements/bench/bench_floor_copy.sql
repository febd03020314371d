-- For awa bench: take rows for that table, in binary form.
COPY public.bench_floor (pos, id, enqueued_at, ready_slot, attempt, max_attempts, kind, args, tags,
                         metadata) FROM STDIN (FORMAT binary)
