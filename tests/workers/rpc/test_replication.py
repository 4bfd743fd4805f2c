"""`ReplicationService`: patches in and out, exchanges, and what a caller's patch may hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import orjson
import pytest

from crdt_core.codec.patches import decode_patch
from crdt_core.errors import InvalidArgument, TooLarge
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Patch, PatchPart
from crdt_core.replica.replica import Replica
from crdt_core.types.members import MEMBERS_KEY, Members
from tests.workers.rpc.face import code_and_words, merge, patch_of, serving
from workers.config.settings import LimitSettings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.replication import check_sizes, check_writers_of_members

CODE = grpc.StatusCode
NOW = Stamp(1, 0)
NOTHING = VersionVector()


def claiming(patch: Patch, **clock: int) -> Patch:
    """The same patch, with another clock."""
    return replace(patch, clock=VersionVector(clock))


async def test_a_patch_is_joined_once_and_joining_it_again_changes_nothing() -> None:
    async with serving() as face:
        patch = patch_of("x1", "SADD", "s", "a", "b")
        first, again = await merge(face, patch), await merge(face, patch)
        assert (first.new_items, again.new_items) == (2, 0)
        assert dict(first.clock) == dict(again.clock) == {"x1": 1}
        assert list((await face.objects.GetSet(pb.GetSetRequest(set_id="s"))).elements) == ["a", "b"]


async def test_what_a_patch_claims_of_others_is_checked_and_of_this_node_it_is_judged_by_the_node() -> None:
    async with serving() as face:
        face.published.made = {"n2": 1}
        patch = patch_of("n2", "SADD", "s", "a")
        code, words = await code_and_words(merge(face, claiming(patch, n2=2, n1=7)))
        assert (code, words) == (CODE.INVALID_ARGUMENT, "patch: it claims n2:2")
        assert face.published.asked == [{"n2": 2}]
        code, words = await code_and_words(merge(face, claiming(patch, n2=1, n1=7)))
        assert code is CODE.INVALID_ARGUMENT
        assert "which n1 has not made" in words, "the claim reached the node whole"
        assert dict((await merge(face, patch)).clock) == {"n2": 1}


async def test_a_patch_that_makes_no_sense_is_the_caller_s_error() -> None:
    async with serving() as face:
        code, words = await code_and_words(face.replication.Merge(pb.MergeRequest(patch=b"junk")))
        assert code is CODE.INVALID_ARGUMENT
        assert words.startswith("malformed patch: not JSON")


async def test_the_patch_since_a_clock_brings_another_replica_up_to_this_one() -> None:
    async with serving() as face:
        await face.objects.AddToSet(pb.AddToSetRequest(set_id="s", element="a"))
        answer = await face.replication.GetPatch(pb.GetPatchRequest())
        other = Replica("other")
        other.join(decode_patch(answer.patch))
        assert other.value(b"s") == [b"a"]
        await face.objects.AddToSet(pb.AddToSetRequest(set_id="s", element="b"))
        answer = await face.replication.GetPatch(pb.GetPatchRequest(since=other.clock))
        assert [part[2] for part in orjson.loads(answer.patch)["parts"]] == ["b"]
        other.join(decode_patch(answer.patch))
        assert other.value(b"s") == [b"a", b"b"]


async def test_an_exchange_tells_who_did_not_answer_and_refuses_who_is_unknown() -> None:
    async with serving() as face:
        answer = await face.replication.SyncAll(pb.SyncAllRequest())
        assert (list(answer.peers_contacted), list(answer.peers_failed)) == ([], ["n2"])
        code, words = await code_and_words(face.replication.SyncAll(pb.SyncAllRequest(peers=["n9"])))
        assert (code, words) == (CODE.NOT_FOUND, "unknown node 'n9'; this fleet has n2")


# What a caller's patch may hold


def patch_with(part: PatchPart) -> Patch:
    return Patch("x1", None, VersionVector({"x1": 1}), NOTHING, NOW, (part,))


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        (["k" * 21, "orset", "a", {"x1:1": True}], "limits.key_bytes_max"),
        (["k", "orset", "e" * 31, {"x1:1": True}], "limits.value_bytes_max"),
        (["k", "mvregister", "", {"x1:1": "v" * 31}], "limits.value_bytes_max"),
        (["k", "lwwregister", "", {"x1:1": ["v" * 31, 1, 0]}], "limits.value_bytes_max"),
    ],
)
def test_a_patch_is_held_to_the_limits_of_calls(part: list[Any], setting: str) -> None:
    fields = {"v": 1, "origin": "x1", "since": None, "clock": {"x1": 1}, "stable": {}, "hlc": [0, 0], "parts": [part]}
    with pytest.raises(TooLarge) as refused:
        check_sizes(decode_patch(orjson.dumps(fields)), LimitSettings(key_bytes_max=20, value_bytes_max=30))
    assert refused.value.setting == setting


def test_only_members_say_who_the_members_are() -> None:
    members = Members.founders(["n1", "n2"])
    said_by = {
        name: patch_with(PatchPart(MEMBERS_KEY, "members", b"n3", {Dot(name, 1): None})) for name in ("n2", "x1")
    }
    check_writers_of_members(said_by["n2"], members)
    with pytest.raises(InvalidArgument, match="x1 is no member"):
        check_writers_of_members(said_by["x1"], members)
    check_writers_of_members(patch_with(PatchPart(b"k", "orset", b"a", {Dot("x1", 1): True})), members)
