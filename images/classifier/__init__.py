"""Labels and scores news, and finds the tickers that it is about."""
