-- How many runs have failed since :since.
select count(*) from task_runs where outcome = 'FAILED' and started_at >= %(since)s
