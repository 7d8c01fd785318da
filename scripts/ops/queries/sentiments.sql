-- Sentiments given in the replayed time.
select count(*) from sentiment where classified_at > %(first)s and classified_at <= %(settled)s
