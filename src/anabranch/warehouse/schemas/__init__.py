"""Schemas of tables: made by CREATE, changed by ALTER, merged, printed."""
