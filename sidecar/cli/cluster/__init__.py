"""`zmban cluster`: the other hosts."""
