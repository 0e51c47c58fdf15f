"""The page that browsers get."""
