"""The fleet file and everything that it sets: addresses, limits, credentials, policies."""
