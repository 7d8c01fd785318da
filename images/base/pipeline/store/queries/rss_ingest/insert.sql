-- Stores news, each uid once; what is stored already stays as it was first read.
insert into news (uid, feed, title, summary, link, published_at, date_marked, fetched_at)
select uid, feed, title, summary, link, published_at, date_marked, %(fetched_at)s
from unnest(
    %(uid)s::text[], %(feed)s::text[], %(title)s::text[], %(summary)s::text[], %(link)s::text[],
    %(published_at)s::timestamptz[], %(date_marked)s::text[]
) as item (uid, feed, title, summary, link, published_at, date_marked)
on conflict (uid) do nothing
