"""Reads bans to import: a Fail2Ban database, or a list of networks."""
