"""Tells of events by webhook and mail."""
