"""zmban: reads Zimbra's logs, works out who attacks, and makes the host's routing table refuse them."""

__version__ = "0.1.0"
