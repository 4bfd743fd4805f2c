"""Access to Redis: raw and reconnecting connections, reading replies, the names of keys, retries."""
