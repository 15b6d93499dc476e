"""This machine: its addresses and networks, whether bans work here, who owns the table, CPU-time limits."""
