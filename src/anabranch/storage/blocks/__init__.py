"""The block store: immutable bytes by address."""
