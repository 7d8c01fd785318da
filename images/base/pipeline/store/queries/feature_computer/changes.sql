-- What has been noted as changed and is over, one row a symbol: its span up to the horizon, and the notes' ids.
select symbol, min(first_ts), least(max(last_ts), %(horizon)s), array_agg(id)
from bars_changed where symbol = any (%(symbols)s) and first_ts <= %(horizon)s group by symbol order by symbol
