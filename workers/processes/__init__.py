"""The processes of a fleet: which ones there are, the embedded server, running and supervising them."""
