-- Bring the index of ids of the current slot up to date.
-- returns: how many ranges of pages were summarized
SELECT awa.summarize_ids()
