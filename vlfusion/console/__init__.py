"""Output of a long run on the terminal: progress and notes."""
