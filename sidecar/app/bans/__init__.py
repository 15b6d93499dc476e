"""The ends of bans and allowed networks, imports, and bans restored from a damaged database or the kernel."""
