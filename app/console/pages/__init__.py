"""What each page shows: from the rooms' answers to plain values for a template."""
