"""One replica's state: the catalogue of its objects with changes and digest, and how deltas and patches act on it."""
