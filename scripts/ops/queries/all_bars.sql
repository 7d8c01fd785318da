-- All stored bars of the replayed symbols up to the end of the replay: what features may be made of.
select symbol, ts, open, high, low, close, volume from bars
where symbol = any (%(symbols)s) and ts < %(last)s order by symbol, ts
