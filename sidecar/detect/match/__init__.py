"""Exact matching of candidate lines: regexes, sessions, multi-line matches, and the time budget of a
regex."""
