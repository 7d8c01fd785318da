-- The titles published in a span of time, as known at now.
select title, published_at
from news
where published_at between %(first)s and %(last)s and fetched_at <= %(now)s
