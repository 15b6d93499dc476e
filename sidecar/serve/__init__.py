"""What others ask the service: metrics and health over HTTP, commands over a unix socket."""
