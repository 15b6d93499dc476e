"""What the service tells people: ban log, refusals, lists, status."""
