-- The runs of each service since :since, newest first, :limit of each at most.
select runs.service, runs.started_at, runs.finished_at, runs.outcome, runs.error_code
from unnest(%(services)s::text[]) as wanted (service)
cross join lateral (
    select service, started_at, finished_at, outcome, error_code from task_runs
    where task_runs.service = wanted.service and started_at > %(since)s and started_at <= %(now)s
    order by started_at desc limit %(limit)s
) as runs
order by runs.service, runs.started_at desc
