"""The daily review in the service: notes decisions, counts logs beside it, and sends a report each day."""
