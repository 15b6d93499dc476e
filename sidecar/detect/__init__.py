"""From a block of bytes to a failure: prefilter, exact match, grammar, counting."""
