"""Scenarios: a market, steps that go wrong at given minutes, and what must be found, blamed, lost and mended."""
