"""Stores one-minute bars from Alpaca and catches up after any outage."""
