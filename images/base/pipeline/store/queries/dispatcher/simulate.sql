-- The simulated trade, filled at :now.
update dispatches
set state = 'SIMULATED', decided_at = %(now)s, mode = 'SIMULATED', gates = %(gates)s, client_order_id = %(client_order_id)s,
    quantity = %(quantity)s, fill_price = %(price)s, filled_at = %(now)s, stop_price = %(stop_price)s,
    target_price = %(target_price)s
where id = %(id)s
