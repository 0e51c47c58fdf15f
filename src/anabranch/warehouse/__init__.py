"""SQL over the lake, with no wire protocol in it."""
