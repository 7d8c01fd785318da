"""Checks that nothing is missing, opens and clears findings."""
