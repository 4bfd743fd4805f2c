"""Connections to Redis: raw and reconnecting ones, what is asked and what is answered, keys, retries."""
