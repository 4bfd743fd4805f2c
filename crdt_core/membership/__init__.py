"""Membership: under which replica id a node runs, how members come and go, and how unsent writes are replayed."""
