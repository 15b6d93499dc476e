"""Commands that work without a running service."""
