"""The functions that SQL may call: each listed with its own translation, none falls through."""
