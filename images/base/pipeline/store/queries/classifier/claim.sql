-- Unclassified news as known at now, freshest first, locked until the transaction ends; what another has locked is left to it.
select id, title, summary, published_at
from news
where published_at <= %(now)s
    and fetched_at <= %(now)s
    and id <> all (%(without)s::bigint[])
    and not exists (select from sentiment where sentiment.news_id = news.id)
order by published_at desc, id desc
limit %(limit)s
for update of news skip locked
