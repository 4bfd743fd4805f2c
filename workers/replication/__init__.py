"""Streams between nodes: tails, inboxes, outboxes, links, signs of life, clock skew."""
