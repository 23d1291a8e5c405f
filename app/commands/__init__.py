"""The commands of `hutong`, a file for each part of the work; `app/cli.py` knows their names.

A command opens the hub, calls what the routes call, and shows it: a table for people, `--json` for programs.
A file is loaded when one of its commands is asked for (`FILES` in `app/cli.py`).
"""
