"""In: the only HTTP client, the page loop, the worker, runs, quarantine and the delete brake."""
