-- Marks what nobody holds and whose signal is older than it may be; an order that may be at the broker is never expired unasked.
update dispatches set state = 'EXPIRED', decided_at = %(now)s
where id in (
    select d.id
    from dispatches d
    join signals s on s.id = d.signal_id
    where s.created_at < %(now)s - %(signal_age_max)s
        and (d.state = 'PENDING' or (d.state = 'CLAIMED' and d.lease_expires_at <= %(now)s))
        and d.client_order_id is null
    for update of d skip locked
)
