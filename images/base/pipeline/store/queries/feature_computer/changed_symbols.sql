-- The symbols that have a change which is over by now.
select symbol from bars_changed where first_ts <= %(horizon)s group by symbol order by symbol
