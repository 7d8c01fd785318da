-- Dispatches in order of time; of those skipped, the gates that did not pass.
select coalesce(d.filled_at, d.decided_at, d.created_at) as at, s.symbol, s.side, d.state, d.quantity, d.fill_price, d.stop_price,
    d.target_price, d.exit_reason, d.profit,
    array(select g.key from jsonb_each(coalesce(d.gates, '{}')) as g where not (g.value ->> 'passed')::boolean) as failed_gates,
    (select count(*) from jsonb_each(coalesce(d.gates, '{}'))) as gates
from dispatches d join signals s on s.id = d.signal_id order by at, s.symbol
