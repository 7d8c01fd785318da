-- Claims all that is due, with a lease: what is pending, and what a run that died has left; the freshest signal comes first.
with due as (
    select d.id
    from dispatches d
    join signals s on s.id = d.signal_id
    where (d.state = 'PENDING' or (d.state = 'CLAIMED' and d.lease_expires_at <= %(now)s))
        and (s.created_at between %(now)s - %(signal_age_max)s and %(now)s or d.client_order_id is not null)
    for update of d skip locked
),
claimed as (
    update dispatches d
    set state = 'CLAIMED', claimed_by = %(claimed_by)s, claimed_at = %(now)s, lease_expires_at = %(now)s + %(lease)s,
        attempts = d.attempts + 1
    from due
    where d.id = due.id
    returning d.id, d.signal_id, d.attempts, d.client_order_id
)
select c.id, c.attempts, c.client_order_id, s.symbol, s.ts, s.rule, s.side, s.confidence, s.created_at
from claimed c
join signals s on s.id = c.signal_id
order by s.created_at desc, s.ts desc, s.id desc
