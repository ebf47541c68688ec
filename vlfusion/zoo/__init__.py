"""Names of models, words and public data, and where they come from."""
