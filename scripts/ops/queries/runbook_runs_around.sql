-- What a change of parameters cost: the last good run before the first one that succeeded with the values :versions, that
-- first one, and how many runs between them were refused for their keys.
with good as (
    select min(started_at) as at from task_runs
    where service = %(service)s and outcome in ('OK', 'DEGRADED', 'NO_INPUT') and parameter_versions @> %(versions)s
), before as (
    select max(r.started_at) as at from task_runs r, good
    where r.service = %(service)s and r.outcome in ('OK', 'DEGRADED', 'NO_INPUT') and r.started_at < good.at
)
select before.at, good.at, (
    select count(*) from task_runs r
    where r.service = %(service)s and r.outcome = 'FAILED' and r.error_code in ('key_rejected', 'key_swapped', 'not_entitled')
      and r.started_at > coalesce(before.at, '-infinity') and r.started_at < good.at
)
from before, good
