"""The server, `ingredients serve`: HTTP in, jobs into the store, records and files out; no model code."""
