"""The table of calls on objects: every call is in it, its request becomes a command, its reply a response."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.commands import Map
from crdt_core.errors import InvalidArgument, TooLarge
from workers.config.settings import LimitSettings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.calls import OBJECT_CALLS, check_key, command_options, within

LIMITS = LimitSettings(key_bytes_max=20, value_bytes_max=30)
LARGEST = 2**63 - 1

MADE: dict[str, list[tuple[Any, list[bytes]]]] = {
    "increment_counter": [
        (pb.IncrementCounterRequest(counter_id="c"), [b"c", b"1"]),
        (pb.IncrementCounterRequest(counter_id="c", amount=0), [b"c", b"0"]),
        (pb.IncrementCounterRequest(counter_id="c", amount=-1), [b"c", b"-1"]),
        (
            pb.IncrementCounterRequest(counter_id="c", amount=LARGEST, kind=pb.GROW_ONLY_COUNTER),
            [b"c", b"9223372036854775807", b"KIND", b"gcounter"],
        ),
    ],
    "decrement_counter": [
        (
            pb.DecrementCounterRequest(counter_id="c", kind=pb.POSITIVE_NEGATIVE_COUNTER),
            [b"c", b"1", b"KIND", b"pncounter"],
        )
    ],
    "get_counter": [(pb.GetCounterRequest(counter_id="é"), ["é".encode()])],
    "add_to_set": [
        (pb.AddToSetRequest(set_id="s", element="x"), [b"s", b"x"]),
        (pb.AddToSetRequest(set_id="s", element="x", kind=pb.GROW_ONLY_SET), [b"s", b"x", b"KIND", b"gset"]),
        (pb.AddToSetRequest(set_id="s", element="x", kind=pb.OBSERVED_REMOVE_SET), [b"s", b"x", b"KIND", b"orset"]),
    ],
    "remove_from_set": [
        (pb.RemoveFromSetRequest(set_id="s", element="x"), [b"s", b"x"]),
        (pb.RemoveFromSetRequest(set_id="s", element="x", kind=pb.REMOVE_WINS_SET), [b"s", b"x", b"KIND", b"rwset"]),
    ],
    "get_set": [(pb.GetSetRequest(set_id="s"), [b"s"])],
    "set_register": [
        (pb.SetRegisterRequest(register_id="r", value=""), [b"r", b""]),
        (pb.SetRegisterRequest(register_id="r", value="v", timestamp=0), [b"r", b"v", b"TIMESTAMP", b"0"]),
        (
            pb.SetRegisterRequest(register_id="r", value="v", timestamp=-7, kind=pb.LAST_WRITER_WINS_REGISTER),
            [b"r", b"v", b"TIMESTAMP", b"-7", b"KIND", b"lwwregister"],
        ),
        (
            pb.SetRegisterRequest(register_id="r", value="v", kind=pb.MULTI_VALUE_REGISTER),
            [b"r", b"v", b"KIND", b"mvregister"],
        ),
    ],
    "get_register": [(pb.GetRegisterRequest(register_id="r"), [b"r"])],
    "set_flag": [
        (pb.SetFlagRequest(flag_id="f", enabled=True), [b"f", b"1"]),
        (pb.SetFlagRequest(flag_id="f"), [b"f", b"0"]),
        (pb.SetFlagRequest(flag_id="f", kind=pb.ENABLE_WINS_FLAG), [b"f", b"0", b"KIND", b"ewflag"]),
        (pb.SetFlagRequest(flag_id="f", kind=pb.DISABLE_WINS_FLAG), [b"f", b"0", b"KIND", b"dwflag"]),
    ],
    "get_flag": [(pb.GetFlagRequest(flag_id="f"), [b"f"])],
    "delete": [(pb.DeleteRequest(key="k"), [b"k"])],
}

TOLD: dict[str, list[tuple[Any, Any]]] = {
    "increment_counter": [(-7, pb.IncrementCounterResponse(value=-7))],
    "decrement_counter": [(0, pb.DecrementCounterResponse())],
    "get_counter": [
        (None, pb.GetCounterResponse()),
        (
            Map([(b"kind", b"gcounter"), (b"value", 5)]),
            pb.GetCounterResponse(value=5, kind=pb.GROW_ONLY_COUNTER),
        ),
    ],
    "add_to_set": [(1, pb.AddToSetResponse(added=True)), (0, pb.AddToSetResponse())],
    "remove_from_set": [(1, pb.RemoveFromSetResponse(removed=True)), (0, pb.RemoveFromSetResponse())],
    "get_set": [
        (None, pb.GetSetResponse()),
        (
            Map([(b"kind", b"orset"), (b"members", [b"a", b"\xff"])]),
            pb.GetSetResponse(elements=["a", "\ufffd"], kind=pb.OBSERVED_REMOVE_SET),
        ),
        (
            Map([(b"kind", b"rwset"), (b"members", [b"a"])]),
            pb.GetSetResponse(elements=["a"], kind=pb.REMOVE_WINS_SET),
        ),
    ],
    "set_register": [(1, pb.SetRegisterResponse(applied=True)), (0, pb.SetRegisterResponse())],
    "get_register": [
        (None, pb.GetRegisterResponse()),
        (
            Map([(b"kind", b"lwwregister"), (b"values", [b"v"]), (b"timestamp", 0)]),
            pb.GetRegisterResponse(values=["v"], timestamp=0, kind=pb.LAST_WRITER_WINS_REGISTER),
        ),
        (
            Map([(b"kind", b"mvregister"), (b"values", [b"v", b"w"]), (b"timestamp", None)]),
            pb.GetRegisterResponse(values=["v", "w"], kind=pb.MULTI_VALUE_REGISTER),
        ),
    ],
    "set_flag": [(1, pb.SetFlagResponse(enabled=True)), (0, pb.SetFlagResponse())],
    "get_flag": [(1, pb.GetFlagResponse(enabled=True)), (0, pb.GetFlagResponse())],
    "delete": [(1, pb.DeleteResponse(deleted=True)), (0, pb.DeleteResponse())],
}


def test_every_call_that_a_batch_may_have_is_in_the_table_and_tried_here() -> None:
    names = {field.name for field in pb.BatchedOperation.DESCRIPTOR.fields}
    assert OBJECT_CALLS.keys() == MADE.keys() == TOLD.keys() == names
    for name, call in OBJECT_CALLS.items():
        result = pb.BatchedResult.DESCRIPTOR.fields_by_name[name].message_type
        assert result.full_name == call.response().DESCRIPTOR.full_name
        assert call.command.writes is not name.startswith("get_")


@pytest.mark.parametrize(("name", "request_", "args"), [(name, *made) for name in MADE for made in MADE[name]])
def test_a_request_becomes_the_arguments_of_a_command(name: str, request_: Any, args: list[bytes]) -> None:
    assert OBJECT_CALLS[name].args(request_, LIMITS) == args


@pytest.mark.parametrize(("name", "reply", "response"), [(name, *told) for name in TOLD for told in TOLD[name]])
def test_a_reply_becomes_a_response(name: str, reply: Any, response: Any) -> None:
    call = OBJECT_CALLS[name]
    told = call.response()
    call.tell(told, reply)
    assert told == response


@pytest.mark.parametrize(
    ("name", "request_", "error", "text"),
    [
        ("increment_counter", pb.IncrementCounterRequest(), InvalidArgument, "counter_id: must not be empty"),
        ("add_to_set", pb.AddToSetRequest(element="x"), InvalidArgument, "set_id: must not be empty"),
        ("add_to_set", pb.AddToSetRequest(set_id="s"), InvalidArgument, "element: must not be empty"),
        ("remove_from_set", pb.RemoveFromSetRequest(set_id="s"), InvalidArgument, "element: must not be empty"),
        ("add_to_set", pb.AddToSetRequest(set_id="s", element="x" * 31), TooLarge, r"element: 31 .*value_bytes_max"),
        (
            "set_register",
            pb.SetRegisterRequest(register_id="r", value="é" * 16),
            TooLarge,
            r"value: 32 .*value_bytes_max",
        ),
        ("delete", pb.DeleteRequest(key="k" * 21), TooLarge, r"key: 21 bytes.*key_bytes_max"),
        (
            "increment_counter",
            pb.IncrementCounterRequest(counter_id="c", kind=9),
            InvalidArgument,
            r"kind: 9 .*\[1, 2\]",
        ),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_with_a_request_is_said_before_anything_is_done(
    name: str, request_: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        OBJECT_CALLS[name].args(request_, LIMITS)


def test_keys_of_deltaic_are_reserved_as_for_every_other_face() -> None:
    with pytest.raises(InvalidArgument, match="it holds the fleet's members"):
        check_key("key", "deltaic:members", LimitSettings())
    with pytest.raises(InvalidArgument, match="keys that begin with 'deltaic:' are reserved"):
        check_key("key", "deltaic:else", LIMITS)
    assert check_key("key", "deltaic", LIMITS) == b"deltaic"


def test_a_value_is_checked_in_bytes() -> None:
    assert within("value", b"x" * 30, 30, "limits.value_bytes_max") == b"x" * 30
    with pytest.raises(TooLarge) as refused:
        within("value", b"x" * 31, 30, "limits.value_bytes_max")
    assert (refused.value.size, refused.value.limit, refused.value.setting) == (31, 30, "limits.value_bytes_max")


def test_commands_over_grpc_know_no_policies_and_bound_no_replies() -> None:
    options = command_options(LIMITS)
    assert (options.policies, options.value_bytes_max) == (None, 30)
    assert options.reply_bytes_max > 2**40
