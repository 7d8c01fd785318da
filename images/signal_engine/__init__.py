"""Raises buy and sell signals for the watchlist."""
