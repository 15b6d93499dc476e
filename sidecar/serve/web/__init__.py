"""The HTTP server: routes, who may use them, files of the page, live events, OpenAPI."""
