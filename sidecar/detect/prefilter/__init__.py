"""One multi-pattern scan of a block finds the few lines that a failregex could match."""
