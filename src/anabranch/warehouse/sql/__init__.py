"""Text of statements: the parser of what DuckDB does not know, and the transforms of the rest."""
