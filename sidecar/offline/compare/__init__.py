"""Compares the bans of two configurations over the same logs."""
