"""Configuration: read from its directories, compared, watched."""
