-- A position's bars as known at :now, oldest first: from an hour before its fill (the last price, should none follow) to its session's close.
select ts, open, high, low, close
from bars
where symbol = %(symbol)s and ts >= %(filled_at)s - interval '1 hour' and ts < %(session_close)s
    and ts <= %(now)s - interval '1 minute'
order by ts
