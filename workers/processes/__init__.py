"""The processes of a fleet: which there are, the embedded server, starting and supervising them."""
