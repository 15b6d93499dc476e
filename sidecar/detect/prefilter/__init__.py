"""Finds the few lines of a block that a failregex could match, with one multi-pattern scan."""
