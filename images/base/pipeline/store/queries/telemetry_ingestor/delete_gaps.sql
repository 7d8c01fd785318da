-- Takes rows out of the ledger whose minutes stand in other rows now.
delete from gaps g
using unnest(%(symbols)s::text[], %(first)s::bigint[]) as d (symbol, first)
where g.symbol = d.symbol and g.first_minute = to_timestamp(d.first * 60)
