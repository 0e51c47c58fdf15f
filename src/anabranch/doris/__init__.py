"""The Doris HTTP surface: stream load, two-phase commit, load errors, what connectors ask."""
