"""Commands that show the state of the service, also live."""
