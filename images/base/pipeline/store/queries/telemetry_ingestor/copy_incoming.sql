-- Bars in PostgreSQL's binary format, as bar_store writes it.
copy incoming (symbol, ts, open, high, low, close, volume, trade_count, vwap) from stdin (format binary)
