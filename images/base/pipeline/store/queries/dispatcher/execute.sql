-- The broker has the order; no row when the claim has been taken over since.
update dispatches
set state = 'EXECUTED', decided_at = %(now)s, broker_order_id = %(broker_order_id)s, quantity = %(quantity)s,
    fill_price = %(fill_price)s, filled_at = %(filled_at)s
where id = %(id)s and state = 'CLAIMED' and claimed_by = %(claimed_by)s and attempts = %(attempts)s
