"""The codec: the canonical JSON of everything that a replica sends or persists. Reading it is strict."""
