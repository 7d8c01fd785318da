-- The ledger's missing minutes of some symbols between :opens and :closes that no bar has filled by :now.
select symbol, first_minute, last_minute, class as cause
from gaps
where symbol = any(%(symbols)s) and last_minute >= %(opens)s and first_minute < %(closes)s and detected_at <= %(now)s
    and (backfilled_at is null or backfilled_at > %(now)s)
order by symbol, first_minute limit %(limit)s
