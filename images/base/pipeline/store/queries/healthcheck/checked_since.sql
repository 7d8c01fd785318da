-- One row if another run of the watcher has finished its checks at :now or later.
select 1 from task_runs
where service = %(service)s and execution_id <> %(execution_id)s and started_at >= %(now)s and outcome in ('OK', 'DEGRADED')
limit 1
