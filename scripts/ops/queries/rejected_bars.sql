-- Bars set aside in the replayed windows, by reason.
select reason, count(*) from bars_rejected
where ts >= %(first)s and ts < %(last)s and symbol = any (%(symbols)s) group by reason order by reason
