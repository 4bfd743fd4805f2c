"""The commands that need the connection: one module per family, each with its functions and its rows."""
