"""Everything of Deltaic that touches the world: the store, the streams, the worker, its faces, jobs and command."""
