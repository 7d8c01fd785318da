-- The broker has the order; its fills and its end are followed from here on as those of any other.
update dispatches d
set state = 'EXECUTED', mode = 'ALPACA_PAPER', gates = '{}', client_order_id = %(name)s, broker_order_id = %(id)s,
    quantity = %(quantity)s, fill_price = %(fill_price)s, filled_at = %(filled_at)s, decided_at = %(decided_at)s
from signals s
where s.id = d.signal_id and s.symbol = %(symbol)s and s.ts = %(ts)s and s.rule = %(rule)s and d.state = 'CLAIMED'
