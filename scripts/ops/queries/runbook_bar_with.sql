-- The newest bar that a run with these parameter values stored since :since, and when that run began; no row: none yet.
select b.symbol, b.ts, r.started_at
from task_runs r join bars b on b.ingested_at = r.started_at
where r.service = %(service)s and r.outcome in ('OK', 'DEGRADED') and r.started_at >= %(since)s
  and r.parameter_versions @> %(versions)s
order by r.started_at desc, b.ts desc limit 1
