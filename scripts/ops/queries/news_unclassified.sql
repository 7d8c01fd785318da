-- News fetched in the replayed time that has no sentiment.
select count(*) from news
where fetched_at > %(first)s and fetched_at <= %(settled)s
and not exists (select from sentiment where sentiment.news_id = news.id)
