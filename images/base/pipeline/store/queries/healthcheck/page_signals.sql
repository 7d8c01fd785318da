-- The newest :limit signals known at :now, each with its dispatch and the gates that this one did not pass.
select signals.created_at, signals.symbol, signals.side, signals.confidence, dispatches.state, dispatches.mode,
    coalesce(dispatches.filled_at, dispatches.decided_at, dispatches.claimed_at, dispatches.created_at) as dispatched_at,
    dispatches.quantity, dispatches.fill_price,
    array(
        select gate.key from jsonb_each(coalesce(dispatches.gates, '{}')) as gate
        where not (gate.value ->> 'passed')::boolean order by gate.key
    ) as failed_gates
from signals
left join dispatches on dispatches.signal_id = signals.id and dispatches.created_at <= %(now)s
where signals.created_at <= %(now)s
order by signals.created_at desc, signals.symbol limit %(limit)s
