-- The end of a position at the broker, once.
update dispatches
set exit_price = %(price)s, exit_at = %(at)s, exit_reason = %(reason)s, profit = %(profit)s, error = %(error)s
where id = %(id)s and state = 'EXECUTED' and exit_at is null
