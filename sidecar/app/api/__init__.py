"""The HTTP API and the page: what each route answers."""
