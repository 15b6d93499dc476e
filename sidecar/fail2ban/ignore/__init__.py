"""ignoreip: networks, host names and files, and the networks that invalid entries probably mean."""
