"""Turns signals into simulated or paper trades, each once.

Every signal gets one row in `dispatches`; the row is claimed, its gates are judged, and what was decided stays on it.
"""
