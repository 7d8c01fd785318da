-- The entry's fill, once it is known.
update dispatches set fill_price = %(price)s, filled_at = %(filled_at)s
where id = %(id)s and state = 'EXECUTED' and fill_price is null
