-- A feed was read, or had not changed. A row of the same or a later instant is left alone, so time only moves forward.
insert into feed_state (feed_url, etag, last_modified, last_ok_at, checked_at, last_error, consecutive_failures)
values (%(feed_url)s, %(etag)s, %(last_modified)s, %(now)s, %(now)s, %(flaw)s, 0)
on conflict (feed_url) do update
set etag = excluded.etag, last_modified = excluded.last_modified, last_ok_at = excluded.last_ok_at,
    checked_at = excluded.checked_at, last_error = excluded.last_error, consecutive_failures = 0
where feed_state.checked_at < excluded.checked_at
