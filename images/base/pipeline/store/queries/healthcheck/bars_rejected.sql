-- Bars refused within (:since, :now], by reason, with some of their symbols.
select reason, count(*), (array_agg(distinct symbol order by symbol))[1:20], max(last_seen)
from bars_rejected
where last_seen > %(since)s and last_seen <= %(now)s
group by reason
order by reason
