"""Networks that must never be banned, from configuration, host, administrators and Zimbra."""
