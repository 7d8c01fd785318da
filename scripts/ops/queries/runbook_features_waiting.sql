-- Changed stretches that features were not computed for yet, without those that ended within the interval given.
select count(*) from bars_changed where last_ts < (select max(ts) from bars) - %s
