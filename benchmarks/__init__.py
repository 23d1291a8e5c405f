"""Each figure we claim, as a command that prints a ratio."""
