"""State that survives a restart, in one SQLite file: bans, failures inside the window, log positions."""
