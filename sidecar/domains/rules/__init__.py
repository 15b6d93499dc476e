"""The rules of the maps as text: written, read back, and told from those of others."""
