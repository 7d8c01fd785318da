-- This replay's runs by service and outcome; one without outcome was killed.
select service, coalesce(outcome, 'KILLED'), count(*) from task_runs
where starts_with(execution_id, %(prefix)s) group by 1, 2 order by 1, 2
