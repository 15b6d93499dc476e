"""How Fail2Ban's files are written: sections, interpolation, tags, durations, and hints for mistakes."""
