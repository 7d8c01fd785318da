-- Sentiments given in the replayed time, by label.
select label, count(*) from sentiment where classified_at > %(first)s and classified_at <= %(settled)s group by label order by label
