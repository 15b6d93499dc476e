"""Zimbra containers, read from the Docker engine."""
