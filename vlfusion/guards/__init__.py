"""Checks of what comes from outside: arguments, numbers, places to write to, names, secrets, the code of others."""
