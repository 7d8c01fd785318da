-- Finished runs of a service since :since that worked with these parameter values (fingerprints), the newest first.
select execution_id, started_at, outcome, error_code, error, rows_out
from task_runs
where service = %(service)s and outcome is not null and started_at >= %(since)s and parameter_versions @> %(versions)s
order by started_at desc limit 50
