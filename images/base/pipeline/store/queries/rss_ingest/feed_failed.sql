-- A feed could not be read; its validators stay those of the last read, time only moves forward.
insert into feed_state (feed_url, checked_at, last_error, consecutive_failures)
values (%(feed_url)s, %(now)s, %(error)s, 1)
on conflict (feed_url) do update
set checked_at = excluded.checked_at, last_error = excluded.last_error, consecutive_failures = feed_state.consecutive_failures + 1
where feed_state.checked_at < excluded.checked_at
