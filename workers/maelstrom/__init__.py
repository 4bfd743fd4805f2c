"""A node that speaks the Maelstrom protocol on stdin and stdout, on the same pure core as the fleet's workers."""
