"""The other hosts: who they are, and what they decided, read and applied."""
