"""What happens now: the newest events, and counts by minute."""
