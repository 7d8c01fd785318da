-- Dispatches of the signals raised in the replayed time.
select count(*) from dispatches d join signals s on s.id = d.signal_id
where s.created_at > %(first)s and s.created_at <= %(settled)s
