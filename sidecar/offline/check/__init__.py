"""What zmban check reports beyond the files' syntax."""
