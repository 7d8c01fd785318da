-- What a note says of minutes that are not over yet is left for later.
update bars_changed set first_ts = %(horizon)s + interval '1 minute' where id = any (%(ids)s) and last_ts > %(horizon)s
