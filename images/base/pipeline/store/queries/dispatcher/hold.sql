-- Locks a claimed dispatch; no row when its lease has been taken over since.
select id from dispatches
where id = %(id)s and state = 'CLAIMED' and claimed_by = %(claimed_by)s and attempts = %(attempts)s
for update
