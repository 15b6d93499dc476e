"""`zmban domain`: refused sender domains, in two maps for Postfix."""
