"""Reads bans to import: a Fail2Ban database, what `zmban export` wrote, or a list of networks."""
