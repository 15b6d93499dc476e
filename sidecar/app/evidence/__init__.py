"""Finds log lines for bans that no log led to."""
