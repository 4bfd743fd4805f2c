"""One node's replica in its Redis: ownership, loading, commits, giving back what was lost, restoring a backup."""
