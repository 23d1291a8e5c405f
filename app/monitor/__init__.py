"""Health: what an operator sees first."""
