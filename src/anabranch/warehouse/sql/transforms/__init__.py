"""SELECT in Doris's words to DuckDB's: parsed once, its names bound, its functions translated."""
