"""Keeps the database small, and copies it, while it is in use."""
