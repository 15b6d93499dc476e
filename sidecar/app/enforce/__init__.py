"""The kernel made to say what the ban table says, and checked."""
