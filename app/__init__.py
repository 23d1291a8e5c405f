"""The hub of 互通: rooms stand on floors, see docs/architecture.md."""
