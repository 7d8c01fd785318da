-- Which of these uids are stored, and as what.
select uid, feed, link
from news
where uid = any (%(uids)s::text[])
