"""`python -m workers.cli`: the `deltaic` command, where it is not installed."""

from workers.cli.app import main

main()
