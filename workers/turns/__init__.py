"""The mailbox and the turn loop: the one way into a replica."""
