"""ignoreip: networks, names, files, and what a damaged entry may have meant."""
