"""What information_schema and SHOW tell."""
