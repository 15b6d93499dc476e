"""Finds the Zimbra containers of this host through the Docker API."""
