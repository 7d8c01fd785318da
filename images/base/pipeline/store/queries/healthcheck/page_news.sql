-- The newest :limit news by event time, as known at :now, with what the classifier made of them.
select news.published_at, news.title, sentiment.label, sentiment.tickers
from news
left join sentiment on sentiment.news_id = news.id and sentiment.classified_at <= %(now)s
where news.published_at <= %(now)s and news.fetched_at <= %(now)s
order by news.published_at desc, news.id limit %(limit)s
