-- Every service the ledger knows: its first and newest start, and its newest start that completed (a run that stood back
-- for another did not). The services are found by hopping along the index. The run that asks is left out.
with recursive known (service) as (
    (select service from task_runs order by service limit 1)
    union all
    select (select task_runs.service from task_runs where task_runs.service > known.service order by service limit 1)
    from known where known.service is not null
)
select known.service, oldest.started_at, newest.started_at, completed.started_at
from known
cross join lateral (
    select started_at from task_runs
    where task_runs.service = known.service and started_at <= %(now)s
        and not (task_runs.service = %(service)s and execution_id = %(execution_id)s)
    order by started_at limit 1
) as oldest
cross join lateral (
    select started_at from task_runs
    where task_runs.service = known.service and started_at <= %(now)s
        and not (task_runs.service = %(service)s and execution_id = %(execution_id)s)
    order by started_at desc limit 1
) as newest
left join lateral (
    select started_at from task_runs
    where task_runs.service = known.service and started_at <= %(now)s and outcome <> 'FAILED'
        and (outcome <> 'SKIPPED' or error is null)
        and not (task_runs.service = %(service)s and execution_id = %(execution_id)s)
    order by started_at desc limit 1
) as completed on true
