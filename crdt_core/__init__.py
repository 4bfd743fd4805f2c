"""The pure core of Deltaic: clocks, the one join, the replicated types, the replica state machine and the codec."""
