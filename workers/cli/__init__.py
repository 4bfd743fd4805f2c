"""The `deltaic` command."""

from workers.cli.app import main

__all__ = ["main"]
