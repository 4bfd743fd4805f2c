"""Runs the `deltaic` command as `python -m workers.cli`, for an environment in which it is not installed."""

from workers.cli import main

main()
