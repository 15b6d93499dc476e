"""The syntax of Fail2Ban's files: sections, interpolation, tags, durations, and hints for typing errors."""
