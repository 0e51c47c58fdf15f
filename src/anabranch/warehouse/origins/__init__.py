"""Where loads read from: URLs as files of bytes, and nothing that is not configured."""
