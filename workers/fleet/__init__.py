"""The fleet seen from outside: status, members, agreement, lag, partitions."""
