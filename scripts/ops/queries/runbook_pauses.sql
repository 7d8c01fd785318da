-- Around :at, for each service that has run since: the last good run before it (null: none) and the first one after.
select service, max(started_at) filter (where started_at < %(at)s), min(started_at) filter (where started_at >= %(at)s)
from task_runs where outcome is not null and outcome <> 'FAILED'
group by service having min(started_at) filter (where started_at >= %(at)s) is not null
