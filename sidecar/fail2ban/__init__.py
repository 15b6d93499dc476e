"""Reads Fail2Ban's configuration files into JailSpec and FilterSpec."""
