"""Who is banned until when, and who never may be: pure values, no kernel and no clock."""
