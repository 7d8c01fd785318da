-- Feeds taken off the list leave no state behind that the healthcheck would find stale; those of a later instant stay.
delete from feed_state
where feed_url <> all (%(urls)s::text[]) and checked_at < %(now)s
