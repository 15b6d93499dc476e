"""The only place that builds, connects and supervises the rooms, and that reads the clock."""
