-- A feed could not be read; its validators stay those of the last read, unless that is of a later instant.
insert into feed_state (feed_url, last_error, consecutive_failures)
values (%(feed_url)s, %(error)s, 1)
on conflict (feed_url) do update
set last_error = excluded.last_error, consecutive_failures = feed_state.consecutive_failures + 1
where feed_state.last_ok_at is null or feed_state.last_ok_at < %(now)s
