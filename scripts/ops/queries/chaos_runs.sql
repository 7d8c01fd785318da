-- Runs after :start by service and outcome; one without outcome was killed.
select service, coalesce(outcome, 'KILLED'), count(*) from task_runs
where coalesce(scheduled_for, started_at) > %(start)s group by 1, 2 order by 1, 2
