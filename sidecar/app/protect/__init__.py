"""Who must never be cut off, from configuration, host, administrators and Zimbra."""
