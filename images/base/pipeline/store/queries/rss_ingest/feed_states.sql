-- What the last reads of these feeds left; a feed never read has no row.
select feed_url, etag, last_modified, consecutive_failures
from feed_state
where feed_url = any (%(urls)s::text[])
