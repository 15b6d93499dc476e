"""Logs of containers as a runtime keeps them: CRI format, and Docker's JSON lines."""
