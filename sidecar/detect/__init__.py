"""From a block of bytes to a failure: prefilter, exact match, who did it, how often."""
