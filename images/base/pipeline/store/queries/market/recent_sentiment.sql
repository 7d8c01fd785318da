-- Sentiment naming any of the symbols, published within (:since, :now] and known at :now, oldest first.
select news_id, published_at, label, score, tickers from sentiment
where published_at > %(since)s and published_at <= %(now)s and classified_at <= %(now)s
    and tickers && %(symbols)s::text[]
order by published_at, news_id
