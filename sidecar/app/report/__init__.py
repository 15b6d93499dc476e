"""Reports for administrators: ban log, refusals, lists, status."""
