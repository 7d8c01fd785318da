-- Stores what the model makes of a batch, each news item once.
insert into sentiment (news_id, published_at, label, score, tickers, model_version, classified_at)
values (%(news_id)s, %(published_at)s, %(label)s, %(score)s, %(tickers)s, %(model_version)s, %(classified_at)s)
on conflict (news_id) do nothing
