"""Long logs: prefiltered and matched by several processes."""
