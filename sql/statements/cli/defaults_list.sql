-- The common settings, for a table.
-- returns: setting text, value text
SELECT v.setting, v.value
  FROM awa.get_defaults() AS d
 CROSS JOIN LATERAL (VALUES ('deadline', d.deadline::text), ('aging', d.aging_interval::text),
                            ('dlq', CASE WHEN d.dlq_enabled THEN 'on' ELSE 'off' END),
                            ('keep_completed', justify_hours(d.completed_retention)::text),
                            ('keep_failed', justify_hours(d.failed_retention)::text),
                            ('keep_dead', justify_hours(d.dlq_retention)::text))
            AS v (setting, value)
