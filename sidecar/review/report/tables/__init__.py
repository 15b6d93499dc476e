"""The tables of the report, before they are text or a page."""
