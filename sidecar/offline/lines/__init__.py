"""Single lines: tries a filter on them, or explains what they do."""
