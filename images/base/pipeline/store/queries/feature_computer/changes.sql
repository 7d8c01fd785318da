-- What has been noted as changed and is over, one row a symbol: its span up to the horizon in epoch seconds, and the
-- notes' ids.
select
    symbol, floor(extract(epoch from min(first_ts)))::bigint,
    floor(extract(epoch from least(max(last_ts), %(horizon)s)))::bigint, array_agg(id)
from bars_changed where symbol = any (%(symbols)s) and first_ts <= %(horizon)s group by symbol order by symbol
