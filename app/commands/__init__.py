"""The commands of `hutong`, a file for each part of the work; `app/cli.py` mounts them.

A command opens the hub, calls what the routes call, and shows it: a table for people, `--json` for programs.
"""
