"""Sign-in: tokens, sessions, and who may use which route."""
