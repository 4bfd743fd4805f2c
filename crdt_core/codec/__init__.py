"""Canonical JSON of everything that is persisted or sent: deltas, patches, records, headers, messages."""
