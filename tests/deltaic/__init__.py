"""The client, and the package that people import."""
