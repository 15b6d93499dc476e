"""The daily review: counts of the mail log, new patterns, and their report."""
