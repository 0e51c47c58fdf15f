"""Bytes in, bytes out: the KV store and the block store. Knows nothing of branches."""
