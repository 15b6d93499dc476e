"""Persistence: the commit queue, and recovery and salvage of the database."""
