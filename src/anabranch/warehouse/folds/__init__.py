"""Folded rowsets kept beside the tree: a cache that any server may use, lose and make again."""
