-- May workers that ended or fell silent hold jobs?
-- returns: some boolean
SELECT awa.any_to_rescue() AS some
