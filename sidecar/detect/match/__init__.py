"""Exact matching of one line: regexes, sessions, several lines together, the time limit of a regex."""
