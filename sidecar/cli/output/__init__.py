"""Printing for people and for programs: tables, JSON, colours, progress."""
