"""A replica among peers, as a machine of turns: events in; one commit, then effects, out."""
