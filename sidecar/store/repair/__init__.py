"""Detects damaged database files and reads what is left of them, page by page, without SQLite."""
