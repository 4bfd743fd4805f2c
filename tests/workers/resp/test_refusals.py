"""The line for each error: its first word says whether to try again."""

from __future__ import annotations

import pytest

from crdt_core.commands import CommandError
from crdt_core.errors import Overloaded, StoreUnavailable, UnknownNode
from tests.invocations import lookup
from workers.config.settings import LimitSettings
from workers.resp.refusals import refusal, too_large

LIMITS = LimitSettings(key_bytes_max=5, value_bytes_max=10)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (CommandError("WRONGTYPE no"), "WRONGTYPE"),
        (Overloaded(3, "limits.calls_waiting_max"), "TRYAGAIN"),
        (StoreUnavailable("Redis refuses: OOM command not allowed", unchanged=True), "OOM"),
        (StoreUnavailable("Redis refuses: LOADING", unchanged=True), "LOADING"),
        (StoreUnavailable("Redis refuses: READONLY", unchanged=True), "READONLY"),
        (StoreUnavailable("no answer", unchanged=True), "TRYAGAIN"),
        (StoreUnavailable("OOM, it may still take effect", unchanged=False), "ERR"),
        (UnknownNode("n9", ["n1"]), "ERR"),
    ],
)
def test_the_first_word_says_whether_to_try_again(error: Exception, word: str) -> None:
    assert refusal(error).text.split()[0] == word


def test_an_error_that_is_none_of_ours_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        refusal(ZeroDivisionError())


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ([b"SET", b"k", b"v" * 10], None),
        ([b"SET", b"k" * 6, b"v"], "limits.key_bytes_max"),
        ([b"SET", b"k", b"v" * 11], "limits.value_bytes_max"),
        ([b"MSET", b"k", b"v" * 10, b"k" * 6, b"v"], "limits.key_bytes_max"),
        ([b"MGET", b"k", b"k" * 6], "limits.key_bytes_max"),
    ],
)
def test_a_key_or_value_over_its_limit_names_the_setting(words: list[bytes], setting: str | None) -> None:
    refused = too_large(lookup(words[0], words[1:]), words, LIMITS)
    assert (refused is None) is (setting is None)
    assert refused is None or f"(setting {setting})" in refused.text
