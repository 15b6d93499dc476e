"""New patterns: hostile lines that no filter matches, grouped, each with a proposed failregex."""
