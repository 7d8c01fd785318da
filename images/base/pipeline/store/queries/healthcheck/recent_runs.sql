-- The newest runs of each service that had started by :now, newest first, without the run that asks.
select runs.service, runs.execution_id, runs.started_at, runs.finished_at, runs.outcome, runs.error, runs.error_code,
    runs.parameter_versions
from unnest(%(services)s::text[]) as wanted (service)
cross join lateral (
    select * from task_runs
    where task_runs.service = wanted.service and started_at <= %(now)s
        and not (task_runs.service = %(service)s and execution_id = %(execution_id)s)
    order by started_at desc, execution_id limit %(limit)s
) as runs
order by runs.service, runs.started_at desc, runs.execution_id
