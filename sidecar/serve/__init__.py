"""The interfaces of the service: metrics and health over HTTP, commands over a unix socket."""
