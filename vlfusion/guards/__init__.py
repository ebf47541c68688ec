"""Checks of outside input: arguments, numbers, output paths, names, secrets, and code from elsewhere."""
