-- Take entries for reserved positions in binary form.
COPY awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt, max_attempts, kind, args, tags,
                        metadata) FROM STDIN (FORMAT binary)
