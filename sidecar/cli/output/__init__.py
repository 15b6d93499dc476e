"""Output: tables and text for terminals, JSON for programs, colours, progress bars."""
