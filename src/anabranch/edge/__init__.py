"""Shared by all HTTP surfaces: requests and answers, threads, streaming, limits, access log."""
