-- Dispatches whose lease is over, dispatches that wait, and recent signals without a dispatch, each with its oldest.
select
    count(*) filter (where state = 'CLAIMED' and lease_expires_at <= %(now)s),
    min(lease_expires_at) filter (where state = 'CLAIMED' and lease_expires_at <= %(now)s),
    count(*) filter (where state = 'PENDING'),
    min(created_at) filter (where state = 'PENDING'),
    (select count(*) from signals where created_at > %(untaken_since)s and created_at <= %(now)s
        and not exists (select from dispatches as taken where taken.signal_id = signals.id)),
    (select min(created_at) from signals where created_at > %(untaken_since)s and created_at <= %(now)s
        and not exists (select from dispatches as taken where taken.signal_id = signals.id))
from dispatches
where state in ('PENDING', 'CLAIMED') and created_at <= %(now)s
