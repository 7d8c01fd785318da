"""Ranks the symbols by news and setup and keeps the watchlist."""
