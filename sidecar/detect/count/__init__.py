"""What is counted per network: failures in windows, logins, distinct values, password spraying."""
