-- One row if a run of the watcher since :since has taken the census.
select 1 from task_runs where service = %(service)s and started_at >= %(since)s and counts ? 'census_rows' limit 1
