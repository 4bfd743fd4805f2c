"""The Redis face: a worker's port that speaks the Redis protocol, to any client of Redis."""

from __future__ import annotations

from workers.resp.face import RespFace

__all__ = ["RespFace"]
