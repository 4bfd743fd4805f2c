"""The settings of a fleet: the fleet file, the environment, addresses, limits, credentials, policies."""
