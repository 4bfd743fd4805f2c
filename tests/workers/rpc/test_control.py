"""`ControlService`: status, links, one key, members, backups."""

from __future__ import annotations

import grpc
import orjson

from tests.workers.rpc.face import code_and_words, merge, patch_of, serving
from workers.rpc import deltaic_pb2 as pb
from workers.wire.keys import OPEN, PAUSED

CODE = grpc.StatusCode


async def test_status_tells_clocks_links_and_metrics() -> None:
    async with serving() as face:
        await face.objects.IncrementCounter(pb.IncrementCounterRequest(counter_id="c"))
        status = await face.control.Status(pb.StatusRequest())
        assert (status.node, status.replica, dict(status.clock)) == ("n1", "n1", {"n1": 1})
        assert dict(status.links) == {"n2": OPEN}
        assert (status.metrics["commits"], status.metrics["skew_ms"]) == (1, 3)
        assert len(status.digest) == 16


async def test_links_are_paused_and_opened_by_name_or_all_together() -> None:
    async with serving() as face:
        assert dict((await face.control.Partition(pb.PartitionRequest())).links) == {"n2": PAUSED}
        assert dict((await face.control.Heal(pb.HealRequest(peers=["n2"]))).links) == {"n2": OPEN}
        unknown = ["n9"]
        pause, heal = pb.PartitionRequest(peers=unknown), pb.HealRequest(peers=unknown)
        for call in (face.control.Partition(pause), face.control.Heal(heal)):
            assert (await code_and_words(call))[0] is CODE.NOT_FOUND


async def test_a_key_is_inspected_with_the_dots_behind_it() -> None:
    async with serving() as face:
        nothing = await face.control.Inspect(pb.InspectRequest(key="s"))
        assert (nothing.type, nothing.value_json, nothing.siblings_json) == ("", b"null", b"{}")
        await face.objects.AddToSet(pb.AddToSetRequest(set_id="s", element="a"))
        seen = await face.control.Inspect(pb.InspectRequest(key="s"))
        assert (seen.type, seen.value_json, seen.siblings_json) == ("orset", b'["a"]', b'{"a":{"n1:1":true}}')
        await merge(face, patch_of("x1", "DELTAIC.COUNTER.ADD", "s", "1"))
        seen = await face.control.Inspect(pb.InspectRequest(key="s"))
        assert (seen.type, list(seen.conflicts)) == ("pncounter", ["orset"])
        code, words = await code_and_words(face.control.Inspect(pb.InspectRequest(key="deltaic:members")))
        assert code is CODE.INVALID_ARGUMENT
        assert "it holds the fleet's members" in words


async def test_members_are_added_and_removed_and_told() -> None:
    async with serving() as face:
        secret = pb.AddNodeRequest(node="n3", grpc="h:1", redis="redis://:secret@h:2/0")
        code, words = await code_and_words(face.control.AddNode(secret))
        assert code is CODE.INVALID_ARGUMENT
        assert "secret" not in words
        n3 = (await face.control.AddNode(pb.AddNodeRequest(node="n3", grpc="h:1", redis="redis://h:2/0"))).replica
        assert (await face.control.RemoveNode(pb.RemoveNodeRequest(node="n2"))).replica == "n2"
        members = {member.replica: member for member in (await face.control.Members(pb.MembersRequest())).members}
        assert {name: pb.Standing.Name(member.standing) for name, member in members.items()} == {
            "n1": "ACTIVE",
            "n2": "LEAVING",
            n3: "ACTIVE",
        }
        assert (members[n3].grpc, members[n3].redis) == ("h:1", "redis://h:2/0")
        code, _ = await code_and_words(face.control.RemoveNode(pb.RemoveNodeRequest(node="n1")))
        assert code is CODE.INVALID_ARGUMENT


async def test_two_members_that_each_add_a_machine_under_one_name_give_it_two_ids() -> None:
    """Both gave it the id n3: the two machines used the same dots."""
    async with serving() as one, serving() as other:
        request = pb.AddNodeRequest(node="n3", grpc="h:1", redis="redis://h:2/0")
        ids = {(await face.control.AddNode(request)).replica for face in (one, other)}
        assert len(ids) == 2
        assert all(replica.startswith("n3-") for replica in ids)


async def test_a_backup_is_a_stream_of_lines_that_says_when_it_is_whole() -> None:
    async with serving() as face:
        for number in range(5):
            await face.objects.AddToSet(pb.AddToSetRequest(set_id="s", element=f"member-{number}"))
        pieces = [piece async for piece in face.control.Backup(pb.BackupRequest())]
        assert [piece.ended for piece in pieces][-1]
        lines = b"".join(piece.lines for piece in pieces).splitlines()
        assert all(orjson.loads(line) for line in lines)
        assert sum(b"member-" in line for line in lines)
