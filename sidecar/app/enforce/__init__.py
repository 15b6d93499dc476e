"""Writes the bans of the table into the ban backend, and verifies them."""
