"""The process and its machine: clocks, ports, tasks."""
