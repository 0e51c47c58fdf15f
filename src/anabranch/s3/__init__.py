"""Surface: the S3 gateway over the lake, and the raw store over the block store's buckets."""
