"""The report of a day: its record, and the same as text and as a page."""
