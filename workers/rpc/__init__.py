"""Generated from proto/deltaic/v1/deltaic.proto by `make proto`; not to be edited."""
