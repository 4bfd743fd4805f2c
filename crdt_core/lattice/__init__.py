"""The algebra: dots, clocks and siblings, the one rule that writes and joins siblings, and the values that travel."""
