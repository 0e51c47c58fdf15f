"""The KV store: ordered bytes to bytes, with conditional transactions."""
