"""One replica's state: the catalogue of objects, its changes and its digest, and how deltas and patches act on it."""
