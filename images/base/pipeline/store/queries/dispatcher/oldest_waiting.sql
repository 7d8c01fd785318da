-- When the oldest signal was raised that is neither dispatched nor refused, as known at :now; null: none waits.
select min(s.created_at)
from dispatches d
join signals s on s.id = d.signal_id
where d.state in ('PENDING', 'CLAIMED') and s.created_at <= %(now)s
