"""The runtime that every image shares: catalogue, rows, clock, settings, logs, store and the task harness."""
