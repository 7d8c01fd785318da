-- The newest run of a service, as of :now, that did its work (skipped ones did none): when it ran, by its own clock.
select max(started_at) from task_runs
where service = %(service)s and outcome in ('OK', 'DEGRADED', 'NO_INPUT') and started_at <= %(now)s
