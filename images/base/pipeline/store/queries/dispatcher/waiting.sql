-- How many dispatches a claim at :now would take.
select count(*)
from dispatches d
join signals s on s.id = d.signal_id
where (d.state = 'PENDING' or (d.state = 'CLAIMED' and d.lease_expires_at <= %(now)s))
    and (s.created_at between %(now)s - %(signal_age_max)s and %(now)s or d.client_order_id is not null)
