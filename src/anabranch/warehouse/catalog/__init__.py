"""Databases and tables on a branch: what there is, and how it is published."""
