"""The schema's history; one head, up and down on SQLite and PostgreSQL."""
