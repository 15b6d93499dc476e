"""The kernel as a ban list: the routing table is made to say what the ban table says."""
