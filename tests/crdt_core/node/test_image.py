"""Images: any state comes back whole, one spoilt anywhere is refused, and a state that moves is caught at one clock."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdt_core.errors import Malformed, WorldError
from crdt_core.node.events import Call, ImageAsked, ImageDropped, Reply
from crdt_core.node.image import Image, ImagePiece, ImageReader
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.patch_walk import LOOKS_PER_LISTING
from crdt_core.replica.replica import Replica
from crdt_core.types import TYPES
from tests.crdt_core.histories import World, lasting_state, steps, values, whole_state, worlds
from tests.invocations import command

FOUNDERS = ("n1", "n2", "n3")
SMALL = NodeOptions(chunk_bytes=256, looks_per_chunk=7 * LOOKS_PER_LISTING)


def turn(node: Node, *events) -> list[Reply]:
    made = node.turn(events, 1_000_000, 0)
    node.confirm()
    return [effect for effect in made.effects if isinstance(effect, Reply)]


def piece_of(node: Node, title: str = "backup") -> ImagePiece:
    (reply,) = turn(node, ImageAsked(title, None))
    if reply.error is not None:
        raise reply.error
    return reply.result


def image_of(node: Node) -> bytes:
    """A whole image, made with nothing in between."""
    lines = b""
    while True:
        piece = piece_of(node)
        lines += piece.lines
        if piece.ended:
            return lines


def read(data: bytes) -> Image:
    reader = ImageReader()
    for line in data.splitlines(keepends=True):
        reader.take(line)
    return reader.finish()


def fleet_of(*names: str) -> Node:
    return Node(names[0], Replica(names[0], founders=names), "test", options=SMALL)


@pytest.fixture
def small() -> bytes:
    """An image of a few objects of several types."""
    node = fleet_of(*FOUNDERS)
    operations = [
        command("DELTAIC.COUNTER.ADD", b"hits", 2),
        command("SADD", b"fruit", b"apple"),
        command("SADD", b"fruit", b"\xff"),
        command("DEL", b"hits"),
    ]
    for operation in operations:
        turn(node, Call(operation, None))
    return image_of(node)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(worlds(), steps([name for name in TYPES if name != "members"]))
def test_any_state_comes_back(world: World, taken) -> None:
    world.run(taken)
    for replica in world.replicas:
        replica.take_changes()
        image = read(image_of(Node("n1", replica, "test", options=SMALL)))
        revived = image.revive()
        assert (image.replica, revived.id) == (replica.id, replica.id)
        assert revived.clock == replica.clock
        assert revived.stable == replica.stable
        assert revived.digest == replica.digest
        assert whole_state(revived) == whole_state(replica)
        assert values(revived) == values(replica)


def test_who_founded_the_fleet_comes_back(small: bytes) -> None:
    image = read(small)
    assert (image.node, image.founders) == ("n1", FOUNDERS)
    assert image.revive().members.active == {"n1": "n1", "n2": "n2", "n3": "n3"}


def test_an_image_cut_short_anywhere_is_refused(small: bytes) -> None:
    for length in range(len(small)):
        with pytest.raises(Malformed, match="malformed image"):
            read(small[:length])


@given(st.data())
@settings(max_examples=400)
def test_an_image_with_any_byte_changed_is_refused(data) -> None:
    image = IMAGE
    place = data.draw(st.integers(0, len(image) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != image[place]))
    with pytest.raises(Malformed, match="malformed image"):
        read(image[:place] + bytes([other]) + image[place + 1 :])


@given(st.data())
def test_an_image_with_lines_lost_doubled_or_moved_is_refused(data) -> None:
    lines = IMAGE.splitlines(keepends=True)
    chosen = data.draw(st.lists(st.sampled_from(lines), max_size=len(lines) + 2).filter(lambda some: some != lines))
    with pytest.raises(Malformed, match="malformed image"):
        read(b"".join(chosen))


def test_an_image_of_another_format_is_refused_with_that_reason(small: bytes) -> None:
    with pytest.raises(Malformed, match="format version 2 is not 1"):
        read(small.replace(b'"v":1', b'"v":2', 1))


def test_an_image_is_of_one_moment_though_the_node_goes_on() -> None:
    """Its clock is one that the node had, and its state is the one that the node had then."""
    chance = random.Random(7)
    node = fleet_of("n1")
    for number in range(300):
        turn(node, Call(command("SADD", b"set%d" % (number % 7), b"e%d" % number), None))
    seen: dict[int, dict] = {}

    def note() -> None:
        seen[node.replica.clock["n1"]] = lasting_state(node.replica)

    note()
    lines, pieces = b"", 0
    while True:
        for _ in range(chance.randrange(4)):
            number = chance.randrange(400)
            set_ = b"set%d" % (number % 7)
            operation = chance.choice(
                [
                    command("SADD", set_, b"e%d" % number),
                    command("SREM", set_, b"e%d" % number),
                    command("DELTAIC.COUNTER.ADD", b"hits", 1),
                ]
            )
            turn(node, Call(operation if chance.random() < 0.97 else command("DEL", set_), None))
            note()
        piece = piece_of(node)
        lines, pieces = lines + piece.lines, pieces + 1
        assert len(piece.lines) < 2 * SMALL.chunk_bytes + 200
        if piece.ended:
            break
    assert pieces > 20
    revived = read(lines).revive()
    assert lasting_state(revived) == seen[revived.clock["n1"]]


def test_what_one_commit_wrote_is_in_an_image_whole_or_not_at_all() -> None:
    node = fleet_of("n1")
    lines = b""
    for number in range(200):
        both = [Call(command("SADD", name, b"%d" % number), None) for name in (b"one", b"two")]
        turn(node, *both)
        if number >= 100:
            piece = piece_of(node)
            lines += piece.lines
            if piece.ended:
                break
    state = values(read(lines).revive())
    assert state[b"one", "orset"] == state[b"two", "orset"]


def test_an_image_and_writes_of_the_same_turn_agree() -> None:
    """The turn in which the walk ends writes, too: the image is of the state after it, with that state's digest."""
    node = fleet_of("n1")
    replies = turn(node, Call(command("DELTAIC.COUNTER.ADD", b"hits", 3), None), ImageAsked("backup", None))
    piece = replies[-1].result
    assert piece.ended
    assert values(read(piece.lines).revive()) == {(b"hits", "pncounter"): 3}


def test_an_image_that_nobody_waits_for_costs_nothing_any_more() -> None:
    node = fleet_of("n1")
    for number in range(50):
        turn(node, Call(command("SADD", b"set", b"e%d" % number), None))
    assert not piece_of(node).ended
    assert node.replica.catalogue.is_watched
    turn(node, ImageDropped("backup"))
    assert not node.replica.catalogue.is_watched
    turn(node, ImageDropped("backup"))


def test_only_a_few_images_are_made_at_once() -> None:
    node = fleet_of("n1")
    for number in range(50):
        turn(node, Call(command("SADD", b"set", b"e%d" % number), None))
    for title in ("1", "2", "3", "4"):
        piece_of(node, title)
    with pytest.raises(WorldError, match="4 backups of n1 are under way"):
        piece_of(node, "5")
    turn(node, ImageDropped("2"))
    piece_of(node, "5")


def test_a_state_that_is_not_what_its_digest_says_is_refused() -> None:
    node = fleet_of("n1")
    turn(node, Call(command("DELTAIC.COUNTER.ADD", b"hits", 3), None))
    image = read(image_of(node))
    with pytest.raises(Malformed, match="digest"):
        Image(image.node, image.replica, image.founders, image.state, image.digest ^ 1).revive()


def _image() -> bytes:
    node = fleet_of(*FOUNDERS)
    for number in range(12):
        turn(
            node,
            Call(command("SADD", b"fruit", b"%d" % number), None),
            Call(command("DELTAIC.COUNTER.ADD", b"hits", 2), None),
        )
    turn(node, Call(command("DEL", b"fruit"), None))
    return image_of(node)


IMAGE = _image()
