"""Finds logs, follows them, and processes their lines into events."""
