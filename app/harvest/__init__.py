"""In: the only HTTP client, the page loop, the worker, runs, quarantine and the brakes on removals and on changes of host."""
