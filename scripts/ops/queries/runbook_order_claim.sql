-- Claimed as the run claimed it that sent the order; one that had expired or was skipped stays what it is.
update dispatches d
set state = 'CLAIMED', claimed_by = %(run)s, claimed_at = %(decided_at)s, lease_expires_at = %(lease_expires_at)s,
    attempts = attempts + 1
from signals s
where s.id = d.signal_id and s.symbol = %(symbol)s and s.ts = %(ts)s and s.rule = %(rule)s and d.state = 'PENDING'
