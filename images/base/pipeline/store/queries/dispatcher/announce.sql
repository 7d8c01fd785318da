-- Stores the order's name and terms before it is sent; from here on the dispatch is never decided without asking the broker.
update dispatches
set mode = 'ALPACA_PAPER', gates = %(gates)s, client_order_id = %(client_order_id)s, quantity = %(quantity)s,
    stop_price = %(stop_price)s, target_price = %(target_price)s
where id = %(id)s
