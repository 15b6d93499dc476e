"""Commands by which an administrator bans, unbans and exempts networks."""
