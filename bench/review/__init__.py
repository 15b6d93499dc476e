"""Measures the daily review."""
