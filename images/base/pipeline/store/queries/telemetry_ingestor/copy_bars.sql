-- Bars that are new for certain, in PostgreSQL's binary format, as bar_store writes it.
copy bars (symbol, ts, open, high, low, close, volume, trade_count, vwap, feed, ingested_at) from stdin (format binary)
