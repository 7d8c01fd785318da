-- Dispatches beyond the first of the same signal key: the table's own keys aside, the same reason must not be traded twice.
select coalesce(sum(times - 1), 0) from (
    select count(*) as times from dispatches d join signals s on s.id = d.signal_id
    where s.created_at > %(first)s and s.created_at <= %(settled)s and d.state in ('SIMULATED', 'EXECUTED')
    group by s.symbol, s.ts, s.rule
) as trades
