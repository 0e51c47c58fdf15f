"""The REST surface: lakeFS's API under `/api/v1`, and its own description at `/openapi.json`."""
