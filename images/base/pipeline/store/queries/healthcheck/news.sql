-- The newest news known at :now by event time and by arrival, and what still waits for its sentiment.
select
    (select max(published_at) from news where published_at <= %(now)s and fetched_at <= %(now)s),
    (select max(fetched_at) from news where fetched_at <= %(now)s),
    count(*), min(waiting.fetched_at)
from (
    select news.fetched_at from news
    where news.fetched_at <= %(now)s and not exists (
        select from sentiment where sentiment.news_id = news.id and sentiment.classified_at <= %(now)s
    )
) as waiting
