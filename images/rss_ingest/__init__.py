"""Fetches news from the configured feeds and stores each item once."""
