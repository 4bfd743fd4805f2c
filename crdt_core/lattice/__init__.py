"""The algebra: clocks, dots, siblings, the one rule that writes and joins them; deltas and patches as plain values."""
