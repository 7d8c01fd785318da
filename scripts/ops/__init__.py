"""The operators' package: everything behind scripts/ and the Makefile. Never in an image."""
