"""Facts about this host, read from the kernel: addresses, next hops, interfaces, TCP connections."""
