-- Drops the notes in the transaction that stores what they asked for.
delete from bars_changed where id = any (%(ids)s) and last_ts <= %(horizon)s
