-- Each service's newest failed run since :since: service, when it began, code, error.
select distinct on (service) service, started_at, error_code, error from task_runs
where outcome = 'FAILED' and started_at >= %(since)s order by service, started_at desc
