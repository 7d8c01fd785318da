-- Signals raised in the replayed time that have no decision: no dispatch, or one that still waits.
select count(*) from signals s left join dispatches d on d.signal_id = s.id
where s.created_at > %(first)s and s.created_at <= %(last)s
and coalesce(d.state, 'PENDING') in ('PENDING', 'CLAIMED')
