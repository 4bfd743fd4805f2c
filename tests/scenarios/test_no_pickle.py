"""No data is executed as code."""

from __future__ import annotations

import ast
import base64
import gc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.support import wait_until
from tools.rooms import PACKAGES
from workers.wire.keys import queue_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scenarios.secured import Deployment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Python 3.11 fails to make a syntax tree if the collector ends a coroutine meanwhile."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_nothing_here_imports_what_runs_code_out_of_data() -> None:
    forbidden = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "yaml"}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            tree = ast.parse(file.read_text("utf-8"))
            imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
            names = {alias.name for node in imports for alias in node.names}
            names |= {node.module for node in imports if isinstance(node, ast.ImportFrom) and node.module}
            assert not {name.partition(".")[0] for name in names} & forbidden, file
            calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
            assert not calls & {"eval", "exec"}, file


def test_all_that_rq_keeps_in_redis_is_json(protected: Deployment) -> None:
    assert protected.server is not None
    with protected.server.client() as redis:
        wait_until(lambda: redis.zcard(f"rq:finished:{queue_name('n1')}") >= 2, 60, f"jobs:\n{protected.said()}")
        jobs = list(redis.scan_iter("rq:job:*", _type="hash"))
        results = list(redis.scan_iter("rq:results:*"))
        assert jobs
        assert results
        for key in jobs:
            data = redis.hget(key, "data")
            assert data is None or isinstance(orjson.loads(_inflated(data)), list)
        for key in results:
            for _, fields in redis.xrange(key):
                value = fields.get(b"return_value")
                assert value is None or isinstance(orjson.loads(_decoded(value)), dict)


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


def _decoded(value: bytes) -> bytes:
    return base64.b64decode(value) if not value.startswith((b"{", b"[", b"n", b'"')) else value
