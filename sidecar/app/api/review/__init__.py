"""The routes of the daily review."""
