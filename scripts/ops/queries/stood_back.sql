-- Services whose newest run of this replay stood back for a run still going: its work is not done.
select service from (
    select distinct on (service) service, outcome, error from task_runs
    where starts_with(execution_id, %(prefix)s) order by service, scheduled_for desc, execution_id desc
) as newest
where outcome = 'SKIPPED' and error is not null
