-- Writes ledger rows, new or in place of those that start at the same minute. Instants are exact: microseconds since 1970.
insert into gaps as g (symbol, first_minute, last_minute, class, detected_at, backfilled_at)
select w.symbol, to_timestamp(w.first * 60), to_timestamp(w.last * 60), w.class,
    timestamptz 'epoch' + w.detected * interval '1 microsecond',
    timestamptz 'epoch' + nullif(w.backfilled, -1) * interval '1 microsecond'
from unnest(
    %(symbols)s::text[], %(first)s::bigint[], %(last)s::bigint[], %(classes)s::text[], %(detected)s::bigint[],
    %(backfilled)s::bigint[]
) as w (symbol, first, last, class, detected, backfilled)
on conflict (symbol, first_minute) do update
set last_minute = excluded.last_minute, class = excluded.class, detected_at = excluded.detected_at,
    backfilled_at = excluded.backfilled_at
