-- The broker does not take the order, in its words; no row when the claim has been taken over since.
update dispatches
set state = 'FAILED', decided_at = %(now)s, error = %(error)s
where id = %(id)s and state = 'CLAIMED' and claimed_by = %(claimed_by)s and attempts = %(attempts)s
