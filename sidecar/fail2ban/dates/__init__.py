"""Date patterns, and the time of a line."""
