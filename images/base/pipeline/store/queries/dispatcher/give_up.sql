-- An announced order that the broker does not know, too late to be sent; no row when the claim has been taken over since.
update dispatches
set state = 'EXPIRED', decided_at = %(now)s
where id = %(id)s and state = 'CLAIMED' and claimed_by = %(claimed_by)s and attempts = %(attempts)s
