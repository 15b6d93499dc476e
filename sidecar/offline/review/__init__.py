"""Tries proposed filters on logs, and writes those that are adopted."""
