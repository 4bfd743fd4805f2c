"""Which jobs the RQ workers may run."""

from __future__ import annotations

import zlib

import orjson
import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from crdt_core.errors import Malformed
from workers.jobs.allowed import PERIODIC_JOBS, checked_fields
from workers.wire.keys import queue_name

ORIGIN = queue_name("n1").encode()


def call(*words: object) -> bytes:
    return orjson.dumps(words)


def test_the_periodic_jobs_are_allowed_under_the_names_of_0_1_0() -> None:
    assert set(PERIODIC_JOBS) == {"workers.jobs.gossip_round", "workers.jobs.compact", "workers.jobs.audit"}
    for name in PERIODIC_JOBS:
        data = call(name, None, ["n1"], {})
        for stored in (data, zlib.compress(data)):
            assert checked_fields({b"data": stored, b"origin": ORIGIN})[b"data"] == data


def test_what_rq_writes_for_a_periodic_job_is_allowed() -> None:
    job = Job("one", connection=object(), serializer=JSONSerializer)
    job.data = call("workers.jobs.audit", None, ["n1"], {})
    job.origin, job.description, job.worker_name = ORIGIN.decode(), "workers.jobs.audit('n1')", "me"
    job.timeout, job.result_ttl, job.failure_ttl, job.ttl = 30, 600, 600, 10
    stored = {
        name.encode(): value if isinstance(value, bytes) else str(value).encode()
        for name, value in job.to_dict().items()
    }
    fields = checked_fields(stored)
    assert {b"created_at", b"data", b"origin", b"timeout", b"result_ttl", b"failure_ttl", b"ttl"} <= set(fields)
    assert all(fields.values())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no json",
        b"null",
        b"[]",
        b"{}",
        zlib.compress(b"no json"),
        zlib.compress(b" " * 10_000_000),
        call("os.system", None, ["n1"], {}),
        call("workers.jobs", None, ["n1"], {}),
        call("workers.jobs.maintenance.audit", None, ["n1"], {}),
        call("workers.jobs.audit", "an instance", ["n1"], {}),
        call("workers.jobs.audit", None, ["n2"], {}),
        call("workers.jobs.audit", None, [], {}),
        call("workers.jobs.audit", None, ["n1", "n1"], {}),
        call("workers.jobs.audit", None, [["n1"]], {}),
        call("workers.jobs.audit", None, [1], {}),
        call("workers.jobs.audit", None, [], {"node": "n1"}),
        call("workers.jobs.audit", None, ["n1"], {"node": "n1"}),
        call("workers.jobs.audit", None, ["n1"], {}, 1),
        b'["workers.jobs.audit",null,["n1"],' + b"[" * 100_000,
    ],
    ids=lambda data: data[:50].decode("ascii", "replace"),
)
def test_no_other_call_is_allowed(data: bytes) -> None:
    with pytest.raises(Malformed):
        checked_fields({b"data": data, b"origin": ORIGIN})


@pytest.mark.parametrize("origin", [b"", b"other", b"deltaic-n2", b"\xff"])
def test_a_job_belongs_to_the_queue_of_its_node(origin: bytes) -> None:
    with pytest.raises(Malformed):
        checked_fields({b"data": call("workers.jobs.audit", None, ["n1"], {}), b"origin": origin})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"success_callback_name", b"os.system"),
        (b"failure_callback_name", b"os.system"),
        (b"stopped_callback_name", b"os.system"),
        (b"webhooks", b"[]"),
        (b"meta", b"{}"),
        (b"dependency_ids", b"[]"),
        (b"retries_left", b"1"),
        (b"repeats_left", b"1"),
        (b"rate_limit_key", b"k"),
        (b"group_id", b"g"),
        (b"a field of a later RQ", b"x"),
        (b"\xff", b"x"),
        (b"timeout", b"-1"),
        (b"timeout", b"1h"),
        (b"ttl", b"9" * 10),
        (b"description", b"\x1b[2J"),
        (b"description", b"x" * 2000),
    ],
)
def test_no_other_field_and_no_other_value_is_allowed(name: bytes, value: bytes) -> None:
    good = {b"data": call("workers.jobs.audit", None, ["n1"], {}), b"origin": ORIGIN}
    with pytest.raises(Malformed):
        checked_fields(good | {name: value})
    assert checked_fields(good | {name: b""}) == good


def test_what_an_earlier_run_left_is_left_out() -> None:
    good = {b"data": call("workers.jobs.audit", None, ["n1"], {}), b"origin": ORIGIN}
    assert checked_fields(good | {b"result": b"\x80pickle", b"exc_info": b"\x80"}) == good
