"""Out: IX/1, OAI-PMH and REST, all readers of the one change order."""
