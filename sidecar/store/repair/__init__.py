"""What can still be read of a damaged database: its pages one by one, without SQLite."""
