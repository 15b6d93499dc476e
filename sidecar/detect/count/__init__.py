"""Counts per network: failures in a window, logins, distinct values, password spraying."""
