"""The calls on objects as values: what each request asks of a replica, and how its result is said.

One table, for calls that come alone and for those that come in batches. Requests are checked here, against the limits,
before anything is done.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.commands.operations import (
    AddToSet,
    AdjustCounter,
    Delete,
    GetCounter,
    GetFlag,
    GetRegister,
    GetSet,
    Read,
    RemoveFromSet,
    SetFlag,
    SetRegister,
)
from crdt_core.commands.unexpired import At, ReadAt
from crdt_core.errors import InvalidArgument, TooLarge
from crdt_core.types import GCOUNTER, GSET, LWWREGISTER, MVREGISTER, ORSET, PNCOUNTER
from crdt_core.types.members import MEMBERS_KEY
from workers.rpc import deltaic_pb2 as pb
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crdt_core.commands.operations import Operation, RegisterView
    from crdt_core.commands.unexpired import KeyOperation
    from crdt_core.types import CrdtType
    from workers.config.settings import LimitSettings

__all__ = ["OBJECT_CALLS", "ObjectCall", "check_key", "within"]

_COUNTER_KINDS: Mapping[int, CrdtType] = {pb.GROW_ONLY_COUNTER: GCOUNTER, pb.POSITIVE_NEGATIVE_COUNTER: PNCOUNTER}
_SET_KINDS: Mapping[int, CrdtType] = {pb.GROW_ONLY_SET: GSET, pb.OBSERVED_REMOVE_SET: ORSET}
_REGISTER_KINDS: Mapping[int, CrdtType] = {
    pb.LAST_WRITER_WINS_REGISTER: LWWREGISTER,
    pb.MULTI_VALUE_REGISTER: MVREGISTER,
}


class ObjectCall(NamedTuple):
    """`asked`: what a request asks for; raises `InvalidArgument`. `response`: how its result is said."""

    asked: Callable[[Any, LimitSettings], KeyOperation]
    response: Callable[[Any], Any]

    def operation(self, request: Any, limits: LimitSettings) -> Operation:
        """What a request asks for, as of now: what has expired is not there. Raises `InvalidArgument`."""
        asked = self.asked(request, limits)
        return ReadAt(wall_ms(), asked) if isinstance(asked, Read) else At(wall_ms(), asked)


def check_key(field: str, text: str, limits: LimitSettings) -> bytes:
    """The key in a request; raises `InvalidArgument`, `TooLarge`."""
    if not text:
        raise InvalidArgument(field, "must not be empty")
    key = text.encode()
    if key == MEMBERS_KEY:
        raise InvalidArgument(field, f"{text} is reserved: it holds the fleet's members; see `deltaic node`")
    return within(field, key, limits.key_bytes_max, "limits.key_bytes_max")


def within(field: str, value: bytes, limit: int, setting: str) -> bytes:
    """`value`, if it is no longer than `limit` bytes; raises `TooLarge`."""
    if len(value) > limit:
        raise TooLarge(field, len(value), limit, setting)
    return value


def _adjust(
    request: pb.IncrementCounterRequest | pb.DecrementCounterRequest, limits: LimitSettings, *, decrement: bool
) -> AdjustCounter:
    amount = request.amount if request.HasField("amount") else 1
    key = check_key("counter_id", request.counter_id, limits)
    return AdjustCounter(key, amount, _type(_COUNTER_KINDS, request.kind), decrement)


def _get_counter(request: pb.GetCounterRequest, limits: LimitSettings) -> GetCounter:
    return GetCounter(check_key("counter_id", request.counter_id, limits))


def _counter(result: tuple[int, str]) -> pb.GetCounterResponse:
    value, type_ = result
    return pb.GetCounterResponse(value=value, kind=_kind(_COUNTER_KINDS, type_))


def _add(request: pb.AddToSetRequest, limits: LimitSettings) -> AddToSet:
    key, element = check_key("set_id", request.set_id, limits), _element(request.element, limits)
    return AddToSet(key, element, _type(_SET_KINDS, request.kind))


def _remove(request: pb.RemoveFromSetRequest, limits: LimitSettings) -> RemoveFromSet:
    return RemoveFromSet(check_key("set_id", request.set_id, limits), _element(request.element, limits))


def _get_set(request: pb.GetSetRequest, limits: LimitSettings) -> GetSet:
    return GetSet(check_key("set_id", request.set_id, limits))


def _set(result: tuple[list[bytes], str]) -> pb.GetSetResponse:
    elements, type_ = result
    return pb.GetSetResponse(elements=map(_text, elements), kind=_kind(_SET_KINDS, type_))


def _set_register(request: pb.SetRegisterRequest, limits: LimitSettings) -> SetRegister:
    key, value = check_key("register_id", request.register_id, limits), _value("value", request.value, limits)
    timestamp = request.timestamp if request.HasField("timestamp") else None
    return SetRegister(key, value, timestamp, _type(_REGISTER_KINDS, request.kind))


def _get_register(request: pb.GetRegisterRequest, limits: LimitSettings) -> GetRegister:
    return GetRegister(check_key("register_id", request.register_id, limits))


def _register(view: RegisterView) -> pb.GetRegisterResponse:
    kind = _kind(_REGISTER_KINDS, view.type)
    return pb.GetRegisterResponse(values=map(_text, view.values), timestamp=view.timestamp, kind=kind)


def _set_flag(request: pb.SetFlagRequest, limits: LimitSettings) -> SetFlag:
    return SetFlag(check_key("flag_id", request.flag_id, limits), request.enabled)


def _get_flag(request: pb.GetFlagRequest, limits: LimitSettings) -> GetFlag:
    return GetFlag(check_key("flag_id", request.flag_id, limits))


def _delete(request: pb.DeleteRequest, limits: LimitSettings) -> Delete:
    return Delete(check_key("key", request.key, limits))


OBJECT_CALLS: Mapping[str, ObjectCall] = {
    "increment_counter": ObjectCall(
        partial(_adjust, decrement=False), lambda value: pb.IncrementCounterResponse(value=value)
    ),
    "decrement_counter": ObjectCall(
        partial(_adjust, decrement=True), lambda value: pb.DecrementCounterResponse(value=value)
    ),
    "get_counter": ObjectCall(_get_counter, _counter),
    "add_to_set": ObjectCall(_add, lambda added: pb.AddToSetResponse(added=added)),
    "remove_from_set": ObjectCall(_remove, lambda removed: pb.RemoveFromSetResponse(removed=removed)),
    "get_set": ObjectCall(_get_set, _set),
    "set_register": ObjectCall(_set_register, lambda applied: pb.SetRegisterResponse(applied=applied)),
    "get_register": ObjectCall(_get_register, _register),
    "set_flag": ObjectCall(_set_flag, lambda enabled: pb.SetFlagResponse(enabled=enabled)),
    "get_flag": ObjectCall(_get_flag, lambda enabled: pb.GetFlagResponse(enabled=enabled)),
    "delete": ObjectCall(_delete, lambda deleted: pb.DeleteResponse(deleted=deleted)),
}
"""By the names that the operations have in a batch."""


def _element(text: str, limits: LimitSettings) -> bytes:
    if not text:
        raise InvalidArgument("element", "must not be empty")
    return _value("element", text, limits)


def _value(field: str, text: str, limits: LimitSettings) -> bytes:
    return within(field, text.encode(), limits.value_bytes_max, "limits.value_bytes_max")


def _type(kinds: Mapping[int, CrdtType], kind: int) -> CrdtType | None:
    if kind and kind not in kinds:
        raise InvalidArgument("kind", f"{kind} is not one of {sorted(kinds)}")
    return kinds.get(kind)


def _kind(kinds: Mapping[Any, CrdtType], name: str) -> Any:
    return next((kind for kind, type_ in kinds.items() if type_.name == name), 0)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
