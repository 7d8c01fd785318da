-- The dispatch of that signal, if it has none.
insert into dispatches (signal_id, state, created_at)
select id, 'PENDING', %(submitted_at)s from signals where symbol = %(symbol)s and ts = %(ts)s and rule = %(rule)s
on conflict (signal_id) do nothing
