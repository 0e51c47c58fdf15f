"""Loading: bytes of files to judged, routed and folded rows in rowset files."""
