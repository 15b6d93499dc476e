"""What the page and its clients cost: a crowd at the HTTP server, the first view, memory."""
