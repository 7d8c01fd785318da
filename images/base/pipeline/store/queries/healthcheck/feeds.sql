-- The state of every feed.
select feed_url, last_ok_at, last_error, consecutive_failures from feed_state order by feed_url
