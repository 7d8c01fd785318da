-- The ledger rows that touch a symbol's minutes from `first` - 1 to :last. A row of the ingestor's lies within one
-- session of at most 390 minutes, which bounds the search by the key.
select
    (s.position - 1)::bigint,
    (extract(epoch from g.first_minute) / 60)::bigint,
    (extract(epoch from g.last_minute) / 60)::bigint,
    g.class,
    (extract(epoch from g.detected_at) * 1000000)::bigint,
    coalesce((extract(epoch from g.backfilled_at) * 1000000)::bigint, -1)
from unnest(%(symbols)s::text[], %(first)s::bigint[]) with ordinality as s (symbol, first, position)
join gaps g
    on g.symbol = s.symbol
    and g.first_minute between to_timestamp((s.first - 391) * 60) and to_timestamp(%(last)s * 60)
    and g.last_minute >= to_timestamp((s.first - 1) * 60)
