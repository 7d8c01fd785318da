-- Gives every signal known at :now its dispatch, once; two runs at a time give it one.
insert into dispatches (signal_id, state, created_at)
select s.id, 'PENDING', %(now)s
from signals s
where s.created_at <= %(now)s and not exists (select from dispatches d where d.signal_id = s.id)
on conflict (signal_id) do nothing
