"""Commands on the database: through the service, or directly if no service runs."""
