"""This host as a member of a group: what it tells the others, and what it takes from them."""
