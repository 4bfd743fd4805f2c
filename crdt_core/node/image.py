"""An image of a replica (a backup): its whole state at one clock, as lines of JSON, made while the replica goes on.

    {"v":1,"image":"deltaic","node":"n1","replica":"n1","founders":["n1","n2"]}
    {"parts":[["fruit","orset","apple",{"n1:3":true}]]}                 some parts a line; as many lines as it takes
    {"clock":{"n1":4},"stable":{},"hlc":[1763700000000,0],"digest":"d3997b629729f449"}
    {"blake2b":"8f3c..."}                                               over all lines before

A patch walk lists the parts of the changing state (`crdt_core.replica.patch_walk`). A part that is listed again
replaces the former, and the result is exactly the state at `clock`. Nothing counts before the last line, which holds a
checksum of all others: an image that is cut short or altered is refused whole.

An image has neither the links nor the log nor the inbox of its node. Under which replica id a node goes on from an
image is decided elsewhere (`crdt_core.membership.identity`).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.codec.canonical import FORMAT, parse_object
from crdt_core.codec.header import Header, decode_header, encode_header
from crdt_core.codec.patches import check_patch, decode_parts, parts_value
from crdt_core.errors import InvalidArgument, Malformed, WorldError, brief
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.lattice.deltas import Patch
from crdt_core.replica.patch_walk import PatchWalk
from crdt_core.replica.replica import Replica

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import HybridClock, ReplicaId
    from crdt_core.lattice.deltas import Address, PatchPart
    from crdt_core.node.options import NodeOptions

__all__ = ["Image", "ImagePiece", "ImageReader", "Images"]

_KIND = "deltaic"
_SUM_BYTES = 32
_AT_ONCE_MAX = 4
_ABOUT = ("v", "image", "node", "replica", "founders")
_STATE = ("clock", "stable", "hlc", "digest")


@dataclass(frozen=True, slots=True)
class Image:
    """The content of an image: the state of `replica`, the id of node `node`, in a fleet that `founders` founded."""

    node: str
    replica: ReplicaId
    founders: tuple[str, ...]
    state: Patch
    digest: int

    def revive(self) -> Replica:
        """Return the replica as it was. Raises `Malformed` where its state does not have its digest."""
        replica = Replica(self.replica, founders=self.founders)
        replica.resume(self.state)
        replica.take_changes()
        if replica.digest != self.digest:
            raise Malformed("image", f"its digest is {self.digest:016x}, that of its state {replica.digest:016x}")
        return replica


# Making one


class ImagePiece(NamedTuple):
    """Some lines of an image, in their order. `ended`: they are the last. About `done` of `of` parts are looked at."""

    lines: bytes
    done: int
    of: int
    ended: bool


class _Making:
    """An image under way."""

    def __init__(self, walk: PatchWalk) -> None:
        self.walk = walk
        self.begun = False
        self._sum = blake2b(digest_size=_SUM_BYTES)

    def line(self, fields: dict[str, Any]) -> bytes:
        line = orjson.dumps(fields) + b"\n"
        self._sum.update(line)
        return line

    def last_line(self) -> bytes:
        return _sum_line(self._sum.hexdigest())


class Images:
    """The images of node `name` that are being made. Each is for one caller, who asks for it piece by piece.

    While an image is made, every change of the replica costs more. So there are only a few at once, and the caller
    drops one that nobody waits for any more (`drop`).
    """

    def __init__(self, name: str, replica: Replica, hlc: HybridClock, options: NodeOptions) -> None:
        self._name = name
        self._replica = replica
        self._hlc = hlc
        self._options = options
        self._making: dict[str, _Making] = {}

    def next(self, title: str) -> ImagePiece:
        """Return the next piece of the image `title`; the first call begins it.

        The replica has no open writes, and its changes are taken (`take_changes`). Raises `WorldError` where too many
        images are under way.
        """
        making = self._making.get(title)
        if making is None:
            if len(self._making) >= _AT_ONCE_MAX:
                raise WorldError(f"{_AT_ONCE_MAX} backups of {self._name} are under way already; try again later")
            making = self._making[title] = _Making(PatchWalk(self._replica, None))
        lines = b"".join(self._lines(making))
        walk = making.walk
        if walk.ended:
            del self._making[title]
        return ImagePiece(lines, walk.done, max(walk.of, walk.done), walk.ended)

    def drop(self, title: str) -> None:
        """End an image that was not fetched to its end; an unknown title is no error."""
        making = self._making.pop(title, None)
        if making is not None:
            making.walk.close()

    def _lines(self, making: _Making) -> Iterable[bytes]:
        if not making.begun:
            making.begun = True
            yield making.line(self._about())
        parts = making.walk.take(self._options.chunk_bytes, self._options.looks_per_chunk)
        if parts:
            yield making.line({"parts": parts_value(parts)})
        if making.walk.ended:
            yield making.line(self._state(making.walk))
            yield making.last_line()

    def _about(self) -> dict[str, Any]:
        replica = self._replica
        about = {"node": self._name, "replica": replica.id, "founders": list(replica.founders)}
        return {"v": FORMAT, "image": _KIND, **about}

    def _state(self, walk: PatchWalk) -> dict[str, Any]:
        state = walk.patch((), self._hlc.last)
        fields = encode_header(Header(state.clock, state.stable, walk.digest, state.hlc))
        return {
            **{name: orjson.Fragment(fields[name]) for name in ("clock", "stable", "hlc")},
            "digest": fields["digest"].decode(),
        }


# Reading one


class ImageReader:
    """Reads an image line by line, and holds its content in memory."""

    def __init__(self) -> None:
        self._sum = blake2b(digest_size=_SUM_BYTES)
        self._lines = 0
        self._about: tuple[str, ReplicaId, tuple[str, ...]] | None = None
        self._parts: dict[Address, PatchPart] = {}
        self._header: Header | None = None
        self._ended = False

    def take(self, line: bytes) -> None:
        """Read the next line, its end included. Raises `Malformed`."""
        self._lines += 1
        try:
            self._take(line)
        except Malformed as error:
            raise Malformed("image", f"line {self._lines}: {error.reason}") from error
        self._sum.update(line)

    def finish(self) -> Image:
        """Return the image, once all lines are read. Raises `Malformed` where some are missing."""
        if not self._ended or self._about is None or self._header is None:
            raise Malformed("image", f"it is cut short: its end is missing after line {self._lines}")
        clock, stable, digest, hlc, _ = self._header
        node, replica, founders = self._about
        state = Patch(replica, None, clock, stable, hlc, tuple(self._parts.values()))
        check_patch(state)
        return Image(node, replica, founders, state, digest)

    def _take(self, line: bytes) -> None:
        if self._ended:
            raise Malformed("image", "it goes on after its end")
        if not line.endswith(b"\n"):
            raise Malformed("image", "it is cut short")
        if self._header is not None:
            if line != _sum_line(self._sum.hexdigest()):
                raise Malformed("image", "its checksum does not match: the image was altered")
            self._ended = True
        elif self._about is None:
            self._about = _read_about(line)
        else:
            self._take_content(line)

    def _take_content(self, line: bytes) -> None:
        fields = _read(line)
        if fields.keys() == {"parts"}:
            self._parts.update((part[:3], part) for part in decode_parts(fields["parts"]))
        else:
            self._header = _read_state(fields)


def _sum_line(digest: str) -> bytes:
    return b'{"blake2b":"%s"}\n' % digest.encode()


def _read(line: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Malformed("image", f"no JSON ({error})") from error
    if not isinstance(fields, dict):
        raise Malformed("image", f"{brief(fields)} is no object")
    return fields


def _read_about(line: bytes) -> tuple[str, ReplicaId, tuple[str, ...]]:
    fields = parse_object("image", line, _ABOUT)
    if fields["image"] != _KIND:
        raise Malformed("image", f"{brief(fields['image'])} is not {_KIND}")
    founders = fields["founders"]
    if not isinstance(founders, list):
        raise Malformed("image", f"founders {brief(founders)} are no list")
    node, replica, *names = (_read_name(name) for name in (fields["node"], fields["replica"], *founders))
    return node, replica, tuple(names)


def _read_state(fields: dict[str, Any]) -> Header:
    if fields.keys() != set(_STATE) or not isinstance(fields["digest"], str):
        raise Malformed("image", f"fields {brief(list(fields))} are neither parts nor {', '.join(_STATE)}")
    encoded = {name.encode(): orjson.dumps(fields[name]) for name in ("clock", "stable", "hlc")}
    return decode_header({**encoded, b"digest": fields["digest"].encode()})


def _read_name(value: Any) -> str:
    try:
        return check_replica_id(value)
    except InvalidArgument as error:
        raise Malformed("image", error.reason) from error
