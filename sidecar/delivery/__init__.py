"""Sends messages to the outside: webhooks over HTTP, mail over SMTP. Fails with `DeliveryError` only."""
