"""One worker process: how it starts, joins the fleet, serves and stops."""
