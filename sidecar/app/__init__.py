"""Builds, connects and runs the components of the service. The only room that reads the clock."""
