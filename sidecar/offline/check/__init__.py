"""Checks of `zmban check` beyond the syntax of the configuration."""
