-- Dispatches at the broker whose position has not ended, oldest first.
select d.id, s.symbol, s.side, d.quantity, d.broker_order_id, d.fill_price
from dispatches d
join signals s on s.id = d.signal_id
where d.state = 'EXECUTED' and d.exit_at is null
order by d.id
