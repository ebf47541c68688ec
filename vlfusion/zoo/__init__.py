"""Names of models and public data, and where they come from."""
