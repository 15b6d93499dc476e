"""Commands that talk to the running service."""
