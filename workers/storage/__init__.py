"""One node's replica in its Redis: ownership, loading, commits, refill after a loss, restore of a backup."""
