"""The benchmark of several hosts."""
