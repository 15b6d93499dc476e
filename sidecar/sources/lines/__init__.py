"""How the bytes of a file become lines: as they are, or out of another format."""
