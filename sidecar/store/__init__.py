"""What outlives a restart: bans, failures that still count, positions in logs, in one SQLite file."""
