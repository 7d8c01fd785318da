-- Simulated positions filled by :now that have not ended.
select d.id, s.symbol, s.side, d.quantity, d.fill_price, d.filled_at, d.stop_price, d.target_price
from dispatches d
join signals s on s.id = d.signal_id
where d.state = 'SIMULATED' and d.exit_at is null and d.filled_at <= %(now)s
order by d.filled_at, d.id
