"""Loads the configuration from its directories, and watches them for changes."""
