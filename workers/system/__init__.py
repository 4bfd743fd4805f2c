"""Access to the process and its machine: clocks, TCP ports, asyncio tasks."""
