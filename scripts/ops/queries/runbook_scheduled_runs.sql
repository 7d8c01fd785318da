-- Each service's newest run that did not fail, of those that a schedule started: service, when it began, its trigger.
select distinct on (service) service, started_at, trigger_arn from task_runs
where outcome is not null and outcome <> 'FAILED' and trigger_arn like '%:schedule/%'
order by service, started_at desc
