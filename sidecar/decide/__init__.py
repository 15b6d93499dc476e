"""Decisions: from a match to events. Pure: no clock, no sockets, no logging."""
