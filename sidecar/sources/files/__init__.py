"""Logs in files: rotation, truncation, packed copies, and blocks of whole lines."""
