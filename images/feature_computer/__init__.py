"""Computes technical and volume features from regular-session bars, and again where late or corrected bars arrive."""
