-- How many news items have no sentiment, as known at now.
select count(*)
from news
where published_at <= %(now)s
    and fetched_at <= %(now)s
    and not exists (select from sentiment where sentiment.news_id = news.id)
