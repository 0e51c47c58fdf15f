"""The surface that speaks MySQL's protocol: logins, statements, streamed results."""
