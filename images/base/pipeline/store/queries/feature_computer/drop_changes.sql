-- Drops the notes in the transaction that stores what they asked for. A note that touches features later than the
-- horizon (the past is being replayed) stays until the horizon has reached them.
delete from bars_changed c
where id = any (%(ids)s) and last_ts <= %(horizon)s
    and (
        not exists (select from features f where f.symbol = c.symbol and f.ts > %(horizon)s)
        or (
            select count(*) from (
                select from bars b
                where b.symbol = c.symbol and b.ts > c.last_ts and b.ts <= %(horizon)s limit %(reach)s
            ) reached
        ) >= %(reach)s
    )
