"""Bans, allowed networks, their ends, and imports."""
