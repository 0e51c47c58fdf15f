"""Merges of tables: schemas by column, rowsets as sets, rows by key."""
