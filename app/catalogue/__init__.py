"""What we know: records, the one change order, digests, tallies and search."""
