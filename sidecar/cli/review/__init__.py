"""The daily report on the command line."""
