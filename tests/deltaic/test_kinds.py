"""The commands that the kinds send, how they read the replies, and what they do not take."""

from __future__ import annotations

import pytest

from deltaic.errors import InvalidArgument
from deltaic.kinds import CounterKind, FlagKind, MultiValueKind, RegisterKind, SetKind


@pytest.mark.parametrize(
    ("operation", "command"),
    [
        (CounterKind("k").value(), b"GET k"),
        (CounterKind("k").add(-3), b"INCRBY k -3"),
        (SetKind("k").add(("a", "b")), b"SADD k a b"),
        (SetKind("k").remove(("a",)), b"SREM k a"),
        (SetKind("k").contains("a"), b"SISMEMBER k a"),
        (SetKind("k").members(), b"SMEMBERS k"),
        (SetKind("k").size(), b"SCARD k"),
        (SetKind("k", remove_wins=True).add(("a",)), b"DELTAIC.RWSADD k a"),
        (SetKind("k", remove_wins=True).remove(("a",)), b"DELTAIC.RWSREM k a"),
        (RegisterKind("k").get(), b"GET k"),
        (RegisterKind("k").set("v"), b"SET k v"),
        (MultiValueKind("k").values(), b"DELTAIC.MVGET k"),
        (MultiValueKind("k").set("v"), b"DELTAIC.MVSET k v"),
        (FlagKind("k").enable(), b"DELTAIC.EWENABLE k"),
        (FlagKind("k").disable(), b"DELTAIC.EWDISABLE k"),
        (FlagKind("k", disable_wins=True).enable(), b"DELTAIC.DWENABLE k"),
        (FlagKind("k", disable_wins=True).disable(), b"DELTAIC.DWDISABLE k"),
        (FlagKind("k").is_enabled(), b"DELTAIC.ENABLED k"),
        (RegisterKind("k").delete(), b"DEL k"),
    ],
)
def test_commands(operation, command: bytes) -> None:
    assert b" ".join(operation.command) == command
    writes = command.split()[0] not in {
        b"GET", b"SISMEMBER", b"SMEMBERS", b"SCARD", b"DELTAIC.MVGET", b"DELTAIC.ENABLED",
    }  # fmt: skip
    assert operation.writes is writes


def test_replies() -> None:
    assert CounterKind("k").value().decode(None) == 0
    assert CounterKind("k").value().decode(b"-7") == -7
    assert SetKind("k").members().decode([b"a", b"\xff"]) == {"a", "\udcff"}
    assert RegisterKind("k").get().decode(None) is None
    assert RegisterKind("k").get().decode("größer".encode()) == "größer"
    assert MultiValueKind("k").values().decode([b"y", b"x"]) == ["y", "x"]
    assert FlagKind("k").enable().decode(1) is True
    assert RegisterKind("k").set("v").decode(b"OK") is None


def test_a_key_that_holds_a_word_is_no_counter() -> None:
    with pytest.raises(InvalidArgument, match="'k' holds b'word', which is no counter"):
        CounterKind("k").value().decode(b"word")


def test_only_what_is_marked_as_idempotent_is_and_a_counter_never() -> None:
    assert SetKind("k", idempotent=True).add(("a",)).is_repeatable
    assert not SetKind("k").add(("a",)).is_repeatable
    assert SetKind("k").members().is_repeatable
    assert not CounterKind("k", idempotent=True).add(1).is_repeatable
    assert CounterKind("k", idempotent=True).delete().is_repeatable


@pytest.mark.parametrize(
    "make",
    [
        lambda: CounterKind("k").add(1.5),
        lambda: CounterKind("k").add(True),
        lambda: SetKind("k").add(()),
        lambda: SetKind("k").add((1,)),
        lambda: SetKind(b"k").members(),
        lambda: RegisterKind("k").set(None),
        lambda: RegisterKind("k").set("\ud800"),
    ],
)
def test_what_they_do_not_take(make) -> None:
    with pytest.raises(InvalidArgument):
        make()
