"""What is shipped: built, installed into empty environments, and run there."""
