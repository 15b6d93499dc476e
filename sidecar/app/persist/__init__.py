"""What survives a restart: the commit queue, recovery and salvage of the database."""
