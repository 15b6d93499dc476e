"""What commands do without a service: check, regex, replay, explain, flush, import, discover."""
