"""Shares bans, failure counts and known-good clients with other hosts over Redis or Valkey."""
