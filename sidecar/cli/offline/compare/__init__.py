"""Prints the comparison of two configurations: tables, JSON, and a page."""
