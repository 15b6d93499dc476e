"""Fail2Ban's files: text in, JailSpec and FilterSpec out."""
