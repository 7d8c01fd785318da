-- What the newest runs had worked with, by parameter: its name, its fingerprint. A day back from the newest run is enough.
select distinct on (given.key) given.key, given.value
from task_runs, jsonb_each_text(task_runs.parameter_versions) as given
where task_runs.started_at > (select max(started_at) - interval '1 day' from task_runs)
order by given.key, task_runs.started_at desc
