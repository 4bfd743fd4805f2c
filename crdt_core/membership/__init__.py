"""Who belongs to the fleet: under which id a node goes on, how members come and go, replaying unsent writes."""
