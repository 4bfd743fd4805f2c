"""The gRPC face and its client. `deltaic_pb2*` are generated from proto/deltaic/v1/deltaic.proto by `make proto`."""
