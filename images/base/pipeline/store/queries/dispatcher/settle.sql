-- Ends an open simulated position, once.
update dispatches
set exit_price = %(price)s, exit_at = %(at)s, exit_reason = %(reason)s, profit = %(profit)s
where id = %(id)s and state = 'SIMULATED' and exit_at is null
