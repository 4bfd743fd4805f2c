"""One worker process: how it chooses its replica id, joins the fleet, serves and stops."""
