"""Bans from elsewhere: a Fail2Ban database, or a list of networks."""
