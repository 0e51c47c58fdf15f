"""The client of the REST API: the wire, the operations, the answers."""
