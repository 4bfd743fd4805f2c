"""`python -m workers.cli`: the `deltaic` command, where it is not installed."""

from workers.cli import main

main()
