"""Bans of whole prefixes because of the bans inside them."""
