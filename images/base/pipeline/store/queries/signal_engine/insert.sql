-- A signal once per (symbol, ts, rule), however often it is found.
insert into signals (symbol, ts, rule, side, confidence, volume_multiplier, reason, created_at)
values (%(symbol)s, %(ts)s, %(rule)s, %(side)s, %(confidence)s, %(volume_multiplier)s, %(reason)s, %(created_at)s)
on conflict (symbol, ts, rule) do nothing
