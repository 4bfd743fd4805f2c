"""A node that speaks the Maelstrom protocol on stdin and stdout. It runs the same core as the fleet's workers."""
