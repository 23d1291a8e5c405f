"""One file per way of being connected; each sees only app.protocol."""
