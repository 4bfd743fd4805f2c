"""Streams between nodes: tails, inbox, outbox, links; and what peers tell of themselves: heartbeats, clocks, skew."""
