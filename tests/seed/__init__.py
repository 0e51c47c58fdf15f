"""The test of HLL loads into nine tables, end to end: `make seed-hll`."""
