-- Which of these minutes have a bar: their positions in the list, from 0. One look into the key's index each.
select (w.position - 1)::bigint
from unnest(%(symbols)s::text[], %(minutes)s::bigint[]) with ordinality as w (symbol, minute, position)
where (select 1 from bars b where b.symbol = w.symbol and b.ts = to_timestamp(w.minute * 60)) is not null
