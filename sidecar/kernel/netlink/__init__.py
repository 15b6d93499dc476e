"""Netlink messages and sockets: routes, rules, one nftables table, announcements."""
