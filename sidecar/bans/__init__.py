"""Active bans with their ends, and networks that must never be banned. Pure: no kernel, no clock."""
