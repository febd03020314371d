-- Is there a worker that ended or fell silent, and may still hold jobs?
-- returns: some boolean
SELECT awa.any_to_rescue() AS some
