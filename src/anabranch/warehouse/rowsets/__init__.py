"""Files of rows: written, scanned and folded by key."""
