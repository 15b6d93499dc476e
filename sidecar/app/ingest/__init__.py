"""Logs found, followed and processed into events."""
