"""Commands that use the control socket of the running service."""
