"""Loads as jobs: labels, states, records, and what is told of them."""
