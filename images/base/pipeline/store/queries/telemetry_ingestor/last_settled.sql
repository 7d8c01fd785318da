-- The newest run, as of :now, that was answered for every symbol: nothing that it asked for is owed any more.
select max(started_at) from task_runs
where service = %(service)s and outcome in ('OK', 'NO_INPUT') and started_at <= %(now)s
