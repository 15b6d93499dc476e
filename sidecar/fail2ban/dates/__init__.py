"""Date patterns, and the date of a line."""
