"""What Deltaic costs beside a raw Valkey, measured: `python -m bench`, `make bench`, docs/performance.md."""
